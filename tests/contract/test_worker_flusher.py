"""The flusher: results and acks of many tasks in one transaction, and nothing lost on its way."""

import threading
import time

import pytest
from celery import signals, states
from celery.app.trace import build_tracer
from django.db import DataError, OperationalError, connections, transaction
from django.test import override_settings

from celeriac.models import Attempt
from celeriac.results import handoff, noting, storing, upsert
from celeriac.results.notes import Note
from celeriac.worker import finished, flushing, recovery
from celeriac.worker.flusher import Flusher
from tests.broker import bodies, noted, publish, rows
from tests.results import make_app, mark, record, results_in, row

PATIENCE_SECONDS = 30


@pytest.fixture
def app(broker):
    with results_in(broker):
        yield make_app()


@pytest.fixture
def consumer(reader):
    return reader()


@pytest.fixture
def deliveries(consumer):
    return consumer.deliveries


@pytest.fixture
def flusher(app, broker, deliveries, tmp_path):
    """A worker's, which this process is for a while; begun, and started by the test."""
    finished.connect()
    storing.this_is_a_worker()
    made = Flusher(broker, deliveries, tmp_path / "host-1")
    yield made
    made.stop()
    storing.end()


def answer():
    return 3


def run(app, task_id="a", body=answer, tag=None, **request):
    """Run a task as a pool does."""
    task = app.task(body, name=f"shop.{task_id}", shared=False)
    given = {"id": task_id, "task": task.name, "is_eager": False, "delivery_info": {}, "hostname": "w@h"}
    if tag:
        given["properties"] = {"delivery_tag": tag}
    build_tracer(task.name, task, app=app)(task_id, (), {}, {**given, **request})


def claimed(consumer, count):
    """Messages that Celery holds: their tags."""
    publish(consumer.alias, "mails", *map(str, range(count)))
    found = consumer.claim("mails")
    return [f"{each.id}-{each.token}" for each in found]


def refuse(monkeypatch, task_id, error):
    """Let the success of this task be what the database does not take."""
    write = upsert.write_rows

    def picky(connection, rows):
        if any((row[upsert.TASK_ID], row[upsert.STATUS]) == (task_id, states.SUCCESS) for row in rows):
            raise error
        write(connection, rows)

    monkeypatch.setattr(upsert, "write_rows", picky)


def statuses(alias, *task_ids):
    return [row(alias, task_id).status for task_id in task_ids]


def test_what_tasks_came_to_and_their_acks_are_one_transaction(app, flusher, deliveries, broker, consumer):
    tags = claimed(consumer, 20)
    deliveries.collect_acks = flusher.collect
    for number, tag in enumerate(tags):
        run(app, str(number), tag=tag)
        deliveries.ack(tag)
    assert rows(broker) == 20, "nothing is written before the results are"

    with noted(deliveries.session.connection()) as statements:
        flusher.start()
        assert flusher.flush(PATIENCE_SECONDS)

    assert rows(broker) == 0
    assert statuses(broker, *map(str, range(20))) == [states.SUCCESS] * 20
    assert [record(broker, str(number)).attempts for number in range(20)] == [1] * 20
    # BEGIN, results, records, acks, COMMIT.
    assert len(statements) == 5, statements


def test_a_result_is_stored_although_celery_does_not_acknowledge(app, flusher, deliveries, broker, consumer):
    (tag,) = claimed(consumer, 1)
    flusher.start()

    run(app, tag=tag)
    assert flusher.flush(PATIENCE_SECONDS)

    assert statuses(broker, "a") == [states.SUCCESS]
    assert rows(broker) == 0, "its message is done, too"
    with noted(deliveries.session.connection()) as statements:
        deliveries.ack(tag)
        assert flusher.flush(PATIENCE_SECONDS)
    assert statements == [], "Celery's own ack is not written a second time"


def test_a_failure_is_stored_at_once_and_its_message_is_done(app, flusher, broker, consumer):
    (tag,) = claimed(consumer, 1)

    def fail():
        raise ValueError("on purpose")

    run(app, body=fail, tag=tag)

    assert statuses(broker, "a") == [states.FAILURE], "others may wait for it, and errbacks follow"
    flusher.start()
    assert flusher.flush(PATIENCE_SECONDS)
    assert statuses(broker, "a") == [states.FAILURE], "the noted STARTED comes too late"
    assert rows(broker) == 0


def test_a_state_of_the_tasks_own_is_not_hidden_by_its_noted_beginning(app, flusher, broker):
    def job(self):
        self.update_state(state="HALFWAY", meta={"done": 5})
        assert row(broker, "a").status == "HALFWAY"
        flusher.start()
        assert flusher.flush(PATIENCE_SECONDS)
        assert row(broker, "a").status == "HALFWAY"

    task = app.task(job, name="shop.job", bind=True, shared=False)
    request = {"id": "a", "task": task.name, "is_eager": False, "delivery_info": {}, "hostname": "w@h"}

    build_tracer(task.name, task, app=app)("a", (), {}, request)

    assert flusher.flush(PATIENCE_SECONDS)
    assert statuses(broker, "a") == [states.SUCCESS]


def test_a_task_that_calls_itself_successful_is_not_done(app, flusher, deliveries, broker, consumer):
    (tag,) = claimed(consumer, 1)
    flusher.start()

    def job(self):
        self.update_state(state=states.SUCCESS, meta=1)
        assert flusher.flush(PATIENCE_SECONDS)
        assert rows(broker) == 1

    task = app.task(job, name="shop.job", bind=True, shared=False)
    request = {
        "id": "a",
        "task": task.name,
        "is_eager": False,
        "delivery_info": {},
        "properties": {"delivery_tag": tag},
    }
    build_tracer(task.name, task, app=app)("a", (), {}, request)


def test_who_hears_of_the_end_finds_it_stored(app, flusher, broker):
    found = []

    class Told(app.Task):
        def on_success(self, retval, task_id, args, kwargs):
            found.append(row(broker, task_id).status)

    task = app.task(answer, base=Told, name="shop.told", shared=False)
    request = {"id": "a", "task": task.name, "is_eager": False, "delivery_info": {}}

    build_tracer(task.name, task, app=app)("a", (), {}, request)

    assert found == [states.SUCCESS]


def test_a_task_without_a_result_is_done_too(app, flusher, deliveries, broker, consumer):
    (tag,) = claimed(consumer, 1)
    app.conf.task_ignore_result = True

    run(app, tag=tag, ignore_result=True)
    flusher.start()
    assert flusher.flush(PATIENCE_SECONDS)

    assert rows(broker) == 0


def test_a_task_that_has_something_to_send_at_its_end_is_not_done_before(
    app, flusher, deliveries, consumer, broker
):
    (tag,) = claimed(consumer, 1)
    flusher.start()
    seen = []

    def job():
        noting.withhold()

    def at_the_end(**_):
        assert flusher.flush(PATIENCE_SECONDS)
        seen.append(rows(broker))

    signals.task_postrun.disconnect(dispatch_uid="celeriac.finished")
    signals.task_postrun.connect(at_the_end, weak=False, dispatch_uid="test")
    finished.connect()
    try:
        run(app, body=job, tag=tag)
    finally:
        signals.task_postrun.disconnect(dispatch_uid="test")

    assert flusher.flush(PATIENCE_SECONDS)
    assert (seen, rows(broker)) == ([1], 0)


def test_a_busy_worker_claims_ahead_with_its_acks(app, flusher, deliveries, broker, consumer):
    first = busy(consumer, flusher, deliveries)

    with noted(deliveries.session.connection()) as statements:
        following = consumer.claim("mails", limit=4, is_of_loop=True)

    assert bodies(first + following) == list(map(str, range(8)))
    assert statements == [], "they were claimed with the acks"


def test_what_was_claimed_ahead_goes_back_when_nobody_consumes(app, flusher, deliveries, broker, consumer):
    busy(consumer, flusher, deliveries)
    assert rows(broker, state=2) > 0

    deliveries.claims.give_back()
    deliveries.flush()
    assert flusher.flush(PATIENCE_SECONDS)

    assert rows(broker, state=1, deliveries=0) == 26


def test_nothing_is_lost_while_the_database_is_away(app, flusher, deliveries, broker, consumer, monkeypatch):
    (tag,) = claimed(consumer, 1)
    gate, tries = threading.Event(), []
    write = flusher._deliveries.exchange

    def refused(*arguments):
        tries.append(1)
        if not gate.is_set():
            raise OperationalError("server closed the connection unexpectedly")
        write(*arguments)

    monkeypatch.setattr(flusher._deliveries, "exchange", refused)
    flusher.start()
    run(app, tag=tag)
    assert not flusher.flush(0.2)

    gate.set()

    assert flusher.flush(PATIENCE_SECONDS)
    assert len(tries) > 1
    assert (statuses(broker, "a"), rows(broker)) == ([states.SUCCESS], 0)


def test_a_result_that_the_database_refuses_fails_alone(
    app, flusher, deliveries, broker, consumer, monkeypatch, caplog
):
    tags = claimed(consumer, 3)
    for name, tag in zip("abc", tags, strict=True):
        run(app, name, tag=tag)
    refuse(monkeypatch, "b", DataError("not in this table"))
    flusher.start()

    assert flusher.flush(PATIENCE_SECONDS)

    assert statuses(broker, "a", "b", "c") == [states.SUCCESS, states.FAILURE, states.SUCCESS]
    assert app.AsyncResult("b").result.args == ("not in this table",)
    assert rows(broker) == 0
    assert "The result of task b cannot be stored: not in this table" in caplog.text
    attempt = Attempt.objects.using(broker).get()
    assert (attempt.task_id, attempt.outcome, attempt.run_key) == ("b", "FAILURE", tags[1])
    assert (attempt.message, attempt.worker) == ("not in this table", row(broker, "b").worker or "")
    assert attempt.started_at == row(broker, "b").date_started


ARGUMENTS = {"argsrepr": "(1, 'ö')", "kwargsrepr": "{}", "periodic_task_name": "every-night"}


def told(alias, task_id="a"):
    """What a row says of its task, whatever its state."""
    found = row(alias, task_id)
    return found.task_args, found.task_kwargs, found.periodic_task_name, found.worker


def test_a_long_result_is_stored_by_its_task_with_all_that_is_known(app, flusher, broker):
    def tell():
        return "x" * handoff.MOST_BYTES

    run(app, body=tell, **ARGUMENTS)

    assert statuses(broker, "a") == [states.SUCCESS]
    flusher.start()
    assert flusher.flush(PATIENCE_SECONDS)
    assert told(broker) == ("\"(1, '\\u00f6')\"", '"{}"', "every-night", "w@h"), (
        "the noted STARTED comes too late"
    )


@pytest.mark.parametrize("is_stored_between", [False, True])
def test_what_is_noted_with_the_beginning_stays_with_the_end(app, flusher, broker, is_stored_between):
    def job():
        if is_stored_between:
            flusher.start()
            assert flusher.flush(PATIENCE_SECONDS)
            assert statuses(broker, "a") == [states.STARTED]

    run(app, body=job, **ARGUMENTS)
    if not is_stored_between:
        flusher.start()
    assert flusher.flush(PATIENCE_SECONDS)

    assert statuses(broker, "a") == [states.SUCCESS]
    assert told(broker) == ("\"(1, '\\u00f6')\"", '"{}"', "every-night", "w@h")


def test_the_end_knows_all_when_the_row_went_meanwhile(app, flusher, broker):
    def job():
        flusher.start()
        assert flusher.flush(PATIENCE_SECONDS)
        app.AsyncResult("a").forget()

    run(app, body=job, **ARGUMENTS)
    assert flusher.flush(PATIENCE_SECONDS)

    assert row(broker, "a").task_name == "shop.a"
    assert told(broker) == ("\"(1, '\\u00f6')\"", '"{}"', "every-night", "w@h")


def test_the_end_tells_who_ran_it_although_its_beginning_came_too_late(app, flusher, broker):
    upsert.write(connections[broker], [mark("a", states.FAILURE, worker="lost@elsewhere")])

    def job():
        flusher.start()
        assert flusher.flush(PATIENCE_SECONDS)
        assert statuses(broker, "a") == [states.FAILURE]

    run(app, body=job, **ARGUMENTS)
    assert flusher.flush(PATIENCE_SECONDS)

    assert (statuses(broker, "a"), row(broker, "a").worker) == ([states.SUCCESS], "w@h")


def test_a_thread_that_notes_while_the_flusher_ends_goes_on(app, flusher, broker, monkeypatch):
    encoded = Note.encoded

    def end_and_encode(note):
        if note.is_end:
            handoff.end(flusher._stem)
        return encoded(note)

    monkeypatch.setattr(Note, "encoded", end_and_encode)

    run(app)

    flusher._flush_all()
    assert statuses(broker, "a") == [states.SUCCESS]


def test_without_a_noted_beginning_the_end_tells_everything(app, flusher, broker):
    app.conf.task_track_started = False

    run(app, **ARGUMENTS)
    flusher.start()
    assert flusher.flush(PATIENCE_SECONDS)

    assert told(broker) == ("\"(1, '\\u00f6')\"", '"{}"', "every-night", "w@h")


def test_without_a_place_for_journals_each_task_stores_its_result(app, broker, monkeypatch):
    monkeypatch.setattr(recovery, "stem_for", lambda _: None)
    storing.this_is_a_worker()
    flushing.start(broker, broker)

    run(app)

    assert statuses(broker, "a") == [states.SUCCESS]
    flushing.stop()
    storing.end()


def test_results_in_a_transaction_of_the_task_belong_to_it(app, flusher, broker):
    with transaction.atomic(using=broker):
        app.backend.store_result("a", None, states.STARTED, request=None)
        assert statuses(broker, "a") == [states.STARTED]
        transaction.set_rollback(True, using=broker)

    flusher.start()
    assert flusher.flush(PATIENCE_SECONDS)
    with connections[broker].cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM django_celery_results_taskresult")
        assert cursor.fetchone() == (0,)


def test_marks_and_notes_agree(app, flusher, broker):
    run(app)
    flusher.start()
    assert flusher.flush(PATIENCE_SECONDS)

    upsert.write(connections[broker], [mark("a", states.RECEIVED)])

    assert statuses(broker, "a") == [states.SUCCESS]


def test_more_than_is_read_at_once_is_stored_before_its_acks_and_before_the_end(
    app, flusher, deliveries, broker, consumer
):
    tags = claimed(consumer, 12)

    def tell():
        return "x" * 120_000

    deliveries.collect_acks = flusher.collect
    for number, tag in enumerate(tags):
        run(app, str(number), body=tell, tag=tag)
        deliveries.ack(tag)
    flusher.start()

    flusher.stop()

    assert statuses(broker, *map(str, range(12))) == [states.SUCCESS] * 12
    assert rows(broker) == 0


@override_settings(USE_TZ=False)
def test_times_without_a_zone_are_stored(app, flusher, broker):
    run(app)
    flusher.start()

    assert flusher.flush(PATIENCE_SECONDS)
    assert statuses(broker, "a") == [states.SUCCESS]


def test_what_cannot_be_stored_at_all_holds_up_nobody(app, flusher, broker, monkeypatch, caplog):
    refuse(monkeypatch, "b", ValueError("no database error"))
    for name in "abc":
        run(app, name)
    flusher.start()

    assert flusher.flush(PATIENCE_SECONDS)

    assert statuses(broker, "a", "b", "c") == [states.SUCCESS, states.FAILURE, states.SUCCESS]


def test_a_failure_knows_when_its_task_began_and_ended(app, flusher, broker):
    def fail():
        raise ValueError("on purpose")

    run(app, body=fail)
    flusher.start()
    assert flusher.flush(PATIENCE_SECONDS)

    assert row(broker, "a").date_started is not None
    found = record(broker, "a")
    assert found.attempts == 1
    assert found.started_at <= found.finished_at


def test_without_extended_results_a_state_of_the_tasks_own_stays(app, flusher, broker):
    app.conf.result_extended = False
    found = []

    def job(self):
        self.update_state(state="HALFWAY")
        flusher.start()
        assert flusher.flush(PATIENCE_SECONDS)
        found.append(row(broker, "a").status)

    task = app.task(job, name="shop.job", bind=True, shared=False)
    request = {"id": "a", "task": task.name, "is_eager": False, "delivery_info": {}}
    build_tracer(task.name, task, app=app)("a", (), {}, request)

    assert found == ["HALFWAY"]


def busy(consumer, flusher, deliveries, count=30, room=4):
    """A worker that has done what it had room for, of a queue with more."""
    publish(consumer.alias, "mails", *map(str, range(count)))
    first = consumer.claim("mails", limit=room, is_of_loop=True)
    flusher.start()
    deliveries.claims._exchanged_at = time.monotonic()
    for each in first:
        consumer.ack(each)
    assert flusher.flush(PATIENCE_SECONDS)
    return first


def test_nothing_is_claimed_ahead_for_whoever_only_gets_a_message(app, flusher, deliveries, broker, consumer):
    publish(broker, "box", *map(str, range(20)))
    flusher.start()
    got = consumer.claim("box", limit=1)
    consumer.ack(got[0])

    assert flusher.flush(PATIENCE_SECONDS)

    assert rows(broker, queue="box", state=1) == 19


def test_what_was_given_to_others_is_not_delivered(app, flusher, deliveries, broker, consumer, monkeypatch):
    busy(consumer, flusher, deliveries)
    from celeriac.broker import presence

    held = presence.worker_id(broker)
    monkeypatch.setattr(presence, "worker_id", lambda _: held + 1)

    assert deliveries.claims.from_ahead(["mails"], 4) == []


def test_a_worker_whose_tasks_are_long_claims_nothing_ahead(app, flusher, deliveries, broker, consumer):
    publish(broker, "mails", *map(str, range(30)))
    first = consumer.claim("mails", limit=4, is_of_loop=True)
    flusher.start()
    deliveries.claims._exchanged_at = time.monotonic() - 60

    consumer.ack(first[0])
    assert flusher.flush(PATIENCE_SECONDS)

    assert rows(broker, state=2) == 3


def test_the_loop_that_was_told_to_wait_is_told_to_look(app, flusher, deliveries, broker, consumer):
    publish(broker, "mails", *map(str, range(30)))
    first = consumer.claim("mails", limit=4, is_of_loop=True)
    looks = threading.Event()
    deliveries.nudge = looks.set
    deliveries.collect_acks = lambda _: None
    consumer.ack(first[0])
    looks.clear()

    assert consumer.claim("mails", limit=1, is_of_loop=True) == []
    deliveries.claims._exchanged_at -= 60
    flusher.start()
    assert flusher.flush(PATIENCE_SECONDS)

    assert looks.is_set()
    deliveries.nudge = None
