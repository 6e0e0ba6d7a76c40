"""The journal of a worker's process: what is noted is read, in its order, and nothing else."""

import multiprocessing
import os
import resource
import signal

import pytest

from celeriac.broker.processes import is_gone
from celeriac.results import journal
from celeriac.results.journal import Journal, Reader, segments


@pytest.fixture
def stem(tmp_path):
    return tmp_path / "host-1"


@pytest.fixture
def noting(stem):
    made = Journal(stem)
    yield made
    made.close()


@pytest.fixture
def reader(stem):
    made = Reader(stem, is_gone=is_gone)
    yield made
    made.close()


def test_what_is_noted_is_read_once_and_in_order(noting, reader):
    noting.append(b"one")
    noting.append(b"1")
    assert reader.read() == [b"one", b"1"]

    noting.append(b"two")

    assert reader.read() == [b"two"]
    assert reader.read() == []


def test_what_is_confirmed_is_not_read_by_the_next_reader(stem, noting, reader):
    noting.append(b"stored")
    reader.read()
    reader.confirm()
    noting.append(b"not stored")
    reader.read()

    after_a_kill = Reader(stem, is_gone=is_gone)

    assert after_a_kill.read() == [b"not stored"]
    after_a_kill.close()


def test_a_full_segment_goes_when_the_database_has_it(stem, noting, reader, monkeypatch):
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 170)
    frames = [bytes([number]) * 60 for number in range(7)]
    for frame in frames:
        noting.append(frame)
    assert len(segments(stem)) == 4

    assert reader.read() == frames
    assert len(segments(stem)) == 4, "the database has none of it yet"
    reader.confirm()

    assert len(segments(stem)) == 1
    noting.append(b"more")
    assert reader.read() == [b"more"]


def test_no_more_is_read_at_once_than_memory_should_hold(noting, reader, monkeypatch):
    monkeypatch.setattr(journal, "MOST_BYTES", 1000)
    frames = [bytes([number]) * 300 for number in range(10)]
    for frame in frames:
        noting.append(frame)

    found = []
    while some := reader.read():
        assert sum(map(len, some)) <= 1000 + 300
        found += some

    assert found == frames


@pytest.mark.parametrize(
    "cut",
    [
        b"\0\0\0\x03\0\0\0\0cut",
        b"\xff\xff\xff\xff\0\0\0\0",
        b"\0\0\0\0\0\0\0\0cut",
    ],
)
def test_a_frame_that_is_not_whole_is_none(stem, noting, reader, cut):
    noting.append(b"whole")
    with segments(stem)[0].open("r+b") as file:
        file.seek(file.read().index(b"whole") + len(b"whole"))
        file.write(cut)

    assert reader.read() == [b"whole"]
    assert reader.read() == []


def test_a_frame_longer_than_a_segment_has_one_of_its_own(noting, reader, monkeypatch):
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 100)
    noting.append(b"short")
    noting.append(b"long" * 100)

    assert reader.read() == [b"short", b"long" * 100]


def test_a_segment_for_which_there_is_no_room_is_an_error_and_leaves_nothing(stem, reader):
    """A limit of the file size stands for the full disk."""
    child = multiprocessing.get_context("fork").Process(target=_append_up_to_a_limit, args=(stem,))
    child.start()
    child.join(60)

    assert child.exitcode == 0
    assert reader.read() == []
    assert list(stem.parent.iterdir()) == []


def _append_up_to_a_limit(stem):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.SEGMENT_BYTES // 2, resource.RLIM_INFINITY))
    try:
        Journal(stem).append(b"note")
    except OSError:
        os._exit(0)
    os._exit(1)


def test_the_reader_is_told_once_of_what_it_has_not_read(noting, reader):
    noting.append(b"begun")
    assert noting.must_tell(1)
    assert not noting.must_tell(1)
    assert noting.must_tell(2), "the end is more urgent than the beginning"
    assert not noting.must_tell(1)

    reader.read()

    assert noting.must_tell(1)


def test_several_processes_have_segments_of_their_own(stem, noting, reader):
    noting.append(b"of the first")
    child = multiprocessing.get_context("fork").Process(target=lambda: Journal(stem).append(b"of the second"))
    child.start()
    child.join(60)

    assert sorted(reader.read()) == [b"of the first", b"of the second"]
    assert reader.processes() == {os.getpid(), child.pid}
    reader.remove()
    assert len(segments(stem)) == 2, "the database does not have them yet"
    reader.confirm()
    reader.remove()
    assert segments(stem) == []


def test_another_workers_journals_are_left_alone(stem, noting):
    noting.append(b"mine")
    other = Reader(stem.with_name("host-11"), is_gone=is_gone)

    assert other.read() == []


def test_a_journal_is_never_written_through_a_link(stem, noting, reader, tmp_path):
    target = tmp_path / "precious"
    target.write_text("kept")
    (tmp_path / f"host-1.{os.getpid()}.1.journal").symlink_to(target)

    noting.append(b"note")

    assert target.read_text() == "kept"
    assert reader.read() == [b"note"]


def test_what_a_killed_process_was_making_goes_too(stem, reader):
    unready = stem.with_name(f"{stem.name}.7.1.journal.new")
    unready.write_bytes(b"")

    reader.remove()

    assert not unready.exists()


def test_the_segments_of_processes_that_have_ended_go_once_they_are_stored(stem, noting, reader):
    noting.append(b"of the living")
    child = multiprocessing.get_context("fork").Process(target=lambda: Journal(stem).append(b"of the dead"))
    child.start()
    child.join(60)
    reader.read()
    reader.sweep()
    assert len(segments(stem)) == 2, "the database does not have it yet"

    reader.confirm()
    reader.sweep()

    assert [path.name for path in segments(stem)] == [f"host-1.{os.getpid()}.1.journal"]
