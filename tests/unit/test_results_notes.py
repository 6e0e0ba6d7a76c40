"""What is noted of a task, and how many notes become one row."""

from dataclasses import replace

from celery import states
from django.utils import timezone

from celeriac.results import notes, records, upsert
from celeriac.results.notes import Note
from tests.results import mark, minutes_ago

STARTED = mark("a", states.STARTED, worker="w@h", task_name="shop.pay", at=minutes_ago(1))
SUCCESS = mark("a", states.SUCCESS, result="3", worker="w@h", task_args="'(1,)'")
BEGAN, ENDED = Note.of(STARTED, "shop.pay"), Note.of(SUCCESS, "shop.pay", "7-8")
#: As a worker notes the end of a task whose beginning it has noted.
WHOLE = Note(upsert.end_of(BEGAN.row, states.SUCCESS, ("application/json", "utf-8", "3"), None), "shop.pay")


def value(row, name):
    return row[upsert._COLUMNS.index(name)]


def frames(*found):
    return [note.encoded() for note in found]


def test_a_note_is_read_as_it_was_written():
    note = Note.of(replace(SUCCESS, traceback="ä\n\ufffd"), "shop.pay", "7-8")

    assert notes.decoded(note.encoded()) == note
    assert notes.decoded(BEGAN.encoded()) == BEGAN
    assert notes.decoded(Note(done="7-8").encoded()) == Note(done="7-8")


def test_an_id_of_several_lines_or_with_half_a_pair_is_read_as_it_was_written():
    for task_id in ("a\nb", "a\ud800"):
        note = Note.of(mark(task_id, states.STARTED), "t")
        assert notes.readable(frames(note)) == [note]


def test_only_the_beginning_of_a_run_is_no_end():
    assert [BEGAN.is_end, ENDED.is_end, Note(done="1-2").is_end] == [False, True, True]


def test_what_is_no_note_is_left_out_and_told(caplog):
    bad = [b"{", b"[1]", b'[null, "", ["x"]]', b"S", b"Sa\n{"]

    assert notes.readable([*bad, Note(done="1-2").encoded()]) == [Note(done="1-2")]
    assert caplog.text.count("cannot be read") == len(bad)


def test_the_states_of_a_task_become_its_last_one():
    found = notes.gathered([BEGAN, ENDED])

    (row,) = found.rows
    assert [value(row, name) for name in ("status", "result")] == [states.SUCCESS, "3"]
    assert value(row, "date_started") == STARTED.at.isoformat()
    assert value(row, "task_name") == "shop.pay", "what only the first one knew is kept"
    assert found.runs == [records.Run("a", "shop.pay", 1, STARTED.at.isoformat(), SUCCESS.at.isoformat())]


def test_a_beginning_is_not_read_where_the_end_tells_all():
    found = notes.readable(frames(BEGAN, WHOLE))

    assert found == [replace(WHOLE, starts=1)]
    both = notes.gathered([notes.decoded(BEGAN.encoded()), notes.decoded(WHOLE.encoded())])
    assert notes.gathered(found) == both


def test_a_beginning_is_read_where_the_end_does_not_know_it_or_comes_before():
    assert notes.readable(frames(BEGAN, ENDED)) == [BEGAN, ENDED]
    assert notes.readable(frames(WHOLE, BEGAN)) == [WHOLE, BEGAN]


def test_a_late_beginning_does_not_hide_the_end():
    found = notes.gathered([Note.of(SUCCESS, "t"), Note.of(STARTED, "t")])

    assert [value(row, "status") for row in found.rows] == [states.SUCCESS]
    assert value(found.rows[0], "date_started") == STARTED.at.isoformat()


def test_each_run_of_a_task_is_counted():
    again = replace(STARTED, at=timezone.now())

    (run,) = notes.gathered([Note.of(STARTED, "t"), Note.of(again, "t")]).runs

    assert (run.starts, run.started_at) == (2, again.at.isoformat())
    assert [note.starts for note in notes.readable(frames(BEGAN, BEGAN, WHOLE))] == [2]


def test_tasks_do_not_mix():
    other = mark("b", states.STARTED)

    found = notes.gathered([BEGAN, Note.of(other), ENDED])

    assert {value(row, "task_id"): value(row, "status") for row in found.rows} == {
        "a": states.SUCCESS,
        "b": states.STARTED,
    }
