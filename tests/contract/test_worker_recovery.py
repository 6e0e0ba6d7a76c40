"""What a killed worker left in its journals: stored before its messages go to others."""

import multiprocessing
import os
import socket

import pytest
from celery import states

from celeriac.broker import processes, runtime
from celeriac.results.journal import Journal, Reader, segments
from celeriac.results.notes import Note
from celeriac.worker import recovery
from tests.broker import publish, rows
from tests.results import mark, results_in, row


@pytest.fixture
def gone():
    """The number of a process that has ended."""
    child = multiprocessing.get_context("fork").Process(target=int)
    child.start()
    child.join(60)
    return child.pid


@pytest.fixture
def place(broker):
    with results_in(broker):
        yield runtime.directory(broker)


def left_by(process, *notes):
    """Journals as a worker leaves them that runs its tasks in its main process."""
    stem = recovery.stem_for(process)
    noting = Journal(stem)
    noting._prefix = f"{stem}.{process}"
    for note in notes:
        noting.append(note.encoded())
    noting.close()
    return stem


def done(claimed):
    return f"{claimed.id}-{claimed.token}"


def test_results_are_stored_and_their_messages_acknowledged(place, broker, stranger, gone):
    publish(broker, "mails", "ended", "running")
    ended, _running = stranger().claim("mails")
    success = mark("a", states.SUCCESS, result="3")
    stem = left_by(gone, Note.of(mark("a", states.STARTED), "t"), Note.of(success, "t", done(ended)))

    recovery.recover(broker)

    assert row(broker, "a").status == states.SUCCESS
    assert rows(broker) == 1, "what still ran is left to the reaper"
    assert segments(stem) == []


def test_a_message_that_was_claimed_anew_stays(place, broker, stranger, gone):
    publish(broker, "mails", "ended")
    (ended,) = stranger().claim("mails")
    stale = f"{ended.id}-{ended.token - 1}"
    left_by(gone, Note.of(mark("a", states.SUCCESS), "t", stale))

    recovery.recover(broker)

    assert rows(broker) == 1


def test_what_a_living_worker_notes_is_its_own(place, broker):
    living = multiprocessing.get_context("fork").Process(target=_wait_for_ever)
    living.start()
    try:
        stem = left_by(living.pid, Note.of(mark("a", states.SUCCESS), "t"))

        recovery.recover(broker)

        reader = Reader(stem, is_gone=processes.is_gone)
        assert len(reader.read()) == 1
        reader.remove()
        reader.close()
    finally:
        living.kill()
        living.join(60)


def _wait_for_ever():
    import threading

    threading.Event().wait()


def test_journals_of_another_host_stay(place, broker, gone):
    path = place / f"elsewhere-{gone}.{gone}.1.journal"
    path.write_bytes(b"theirs")

    recovery.recover(broker)

    assert path.exists()
    path.unlink()


def test_what_cannot_be_read_does_not_hold_up_the_rest(place, broker, gone, caplog):
    stem = recovery.stem_for(gone)
    noting = Journal(stem)
    noting._prefix = f"{stem}.{gone}"
    noting.append(b"nonsense")
    noting.append(Note.of(mark("a", states.SUCCESS), "t").encoded())
    noting.close()

    recovery.recover(broker)

    assert row(broker, "a").status == states.SUCCESS
    assert "cannot be read" in caplog.text


def test_an_earlier_process_with_this_number_is_gone(place, broker):
    """After a restart of the host, or in a new container."""
    left_by(os.getpid(), Note.of(mark("a", states.SUCCESS), "t"))

    recovery.recover(broker, is_starting=True)

    assert row(broker, "a").status == states.SUCCESS
    assert segments(place / f"{socket.gethostname()}-{os.getpid()}") == []


def test_what_this_worker_notes_is_its_own(place, broker):
    stem = left_by(os.getpid(), Note.of(mark("a", states.SUCCESS), "t"))

    recovery.recover(broker)

    reader = Reader(stem, is_gone=processes.is_gone)
    assert len(reader.read()) == 1
    reader.remove()
    reader.close()
