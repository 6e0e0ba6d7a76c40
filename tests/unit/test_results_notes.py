"""What is noted of a task, and how many notes become one row."""

from dataclasses import replace

from celery import states
from django.utils import timezone

from celeriac.results import notes
from celeriac.results.notes import Note
from tests.results import mark, minutes_ago

STARTED = mark("a", states.STARTED, worker="w@h", task_name="shop.pay", at=minutes_ago(1))
SUCCESS = mark("a", states.SUCCESS, result="3", worker="w@h", task_args="'(1,)'")


def test_a_note_is_read_as_it_was_written():
    note = Note(replace(SUCCESS, traceback="ä\n\ufffd"), "shop.pay", "7-8")

    assert notes.decoded(note.encoded()) == note
    assert notes.decoded(Note(done="7-8").encoded()) == Note(done="7-8")


def test_only_the_beginning_of_a_run_is_no_end():
    assert [Note(STARTED).is_end, Note(SUCCESS).is_end, Note(done="1-2").is_end] == [False, True, True]


def test_what_is_no_note_is_left_out_and_told(caplog):
    found = notes.readable([b"{", b"[1]", b'[null, "", ["x"]]', Note(done="1-2").encoded()])

    assert found == [Note(done="1-2")]
    assert caplog.text.count("cannot be read") == 3


def test_the_states_of_a_task_become_its_last_one():
    found = notes.gathered([Note(STARTED, "shop.pay"), Note(SUCCESS, "shop.pay", "7-8")])

    (write,) = found.writes
    assert (write.status, write.result, write.started_at) == (states.SUCCESS, "3", STARTED.at)
    assert write.task_name == "shop.pay", "what only the first one knew is kept"
    (run,) = found.runs
    assert (run.starts, run.started_at, run.finished_at) == (1, STARTED.at, SUCCESS.at)


def test_a_late_beginning_does_not_hide_the_end():
    found = notes.gathered([Note(SUCCESS, "t"), Note(STARTED, "t")])

    assert [write.status for write in found.writes] == [states.SUCCESS]
    assert found.writes[0].started_at == STARTED.at


def test_each_run_of_a_task_is_counted():
    again = replace(STARTED, at=timezone.now())

    (run,) = notes.gathered([Note(STARTED, "t"), Note(again, "t")]).runs

    assert (run.starts, run.started_at) == (2, again.at)


def test_tasks_do_not_mix():
    other = mark("b", states.STARTED)

    found = notes.gathered([Note(STARTED), Note(other), Note(SUCCESS)])

    assert {write.task_id: write.status for write in found.writes} == {
        "a": states.SUCCESS,
        "b": states.STARTED,
    }
