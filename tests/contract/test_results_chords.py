"""Fault F25, chords: the body is sent once, when every part has ended, however often delivered."""

import logging
import threading

import pytest
from celery import chain, chord, group, states
from celery.app.trace import build_tracer
from celery.exceptions import ChordError
from django.db import OperationalError, connections, transaction
from kombu.exceptions import OperationalError as BrokerDown

from celeriac.models import Chord
from celeriac.results import chords
from tests.results import counted_queries, make_app, results_in


class Sent:
    """Takes the messages that the app publishes, to be run by the test in place of workers."""

    def __init__(self, app):
        self.app = app
        self.waiting = []
        self.names = []
        self.error = None
        app.amqp.send_task_message = self.publish

    def publish(self, producer, name, message, **options):
        if self.error and name == "shop.total":
            raise self.error
        self.names.append(name)
        self.waiting.append(message)

    def run_all(self, *, times=1):
        while self.waiting:
            self.run(self.waiting.pop(0), times=times)

    def run(self, message, *, times=1):
        args, kwargs, embed = message.body
        task = self.app.tasks[message.headers["task"]]
        known = {"args": args, "kwargs": kwargs, "hostname": "w@h", "is_eager": False, "delivery_info": {}}
        for _ in range(times):
            trace = build_tracer(task.name, task, app=self.app)
            trace(message.headers["id"], args, kwargs, {**message.headers, **embed, **known})

    def bodies(self):
        return self.names.count("shop.total")


def shop():
    """An app with a task that prices, one that is the body of chords and one for errors."""
    app = make_app()

    def price(number):
        if number < 0:
            raise ValueError(f"no price {number}")
        return number

    def total(numbers):
        return numbers

    def on_error(task_id):
        return task_id

    app.task(price, name="shop.price", shared=False)
    app.task(total, name="shop.total", shared=False)
    app.task(on_error, name="shop.on_error", shared=False)
    return Sent(app)


@pytest.fixture
def sent(alias):
    with results_in(alias):
        yield shop()


def price(sent, number):
    return sent.app.tasks["shop.price"].si(number)


def step(sent):
    return sent.app.tasks["shop.price"].s()


def total(sent):
    return sent.app.tasks["shop.total"].s()


def test_the_body_gets_the_results_in_the_order_of_the_header(sent):
    result = chord([price(sent, 1), price(sent, 2), price(sent, 3)], total(sent)).delay()
    sent.waiting.reverse()

    sent.run_all()

    assert result.get(timeout=1) == [1, 2, 3]


def test_the_body_waits_for_the_last_header_task(sent):
    chord([price(sent, 1), price(sent, 2)], total(sent)).delay()

    sent.run(sent.waiting[0])

    assert sent.bodies() == 0


def test_a_header_task_that_is_delivered_twice_counts_once(sent):
    result = chord([price(sent, 1), price(sent, 2)], total(sent)).delay()
    first, last = sent.waiting[:]

    sent.run(first, times=2)
    assert sent.bodies() == 0
    sent.run(last, times=2)
    sent.run(first)

    assert sent.bodies() == 1
    sent.waiting = sent.waiting[2:]
    sent.run_all()
    assert result.get(timeout=1) == [1, 2]


def test_header_tasks_that_end_at_once_send_the_body_once(sent):
    chord([price(sent, number) for number in range(8)], total(sent)).delay()
    together = threading.Barrier(8)

    def work(message):
        together.wait()
        try:
            sent.run(message)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=[message]) for message in sent.waiting]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sent.bodies() == 1


def test_a_chord_of_a_generator_knows_its_size(sent):
    result = chord((price(sent, number) for number in range(3)), total(sent)).delay()

    sent.run_all()

    assert result.get(timeout=1) == [0, 1, 2]


def test_an_empty_header_sends_the_body_at_once(sent):
    result = chord([], total(sent)).delay()

    sent.run_all()

    assert result.get(timeout=1) == []


HEADERS = {
    "chain": (lambda sent: [chain(price(sent, 1), step(sent)), price(sent, 2)], [1, 2]),
    "group": (lambda sent: [group(price(sent, 1), price(sent, 1)), price(sent, 3)], [1, 1, 3]),
    "chord": (
        lambda sent: [chord([price(sent, 1), price(sent, 2)], total(sent)), price(sent, 3)],
        [[1, 2], 3],
    ),
    "group at the end of a chain": (
        lambda sent: [chain(price(sent, 1), group(step(sent), step(sent))), price(sent, 3)],
        [[1, 1], 3],
    ),
    "chain with a group inside": (
        lambda sent: [chain(price(sent, 1), group(step(sent), step(sent)), total(sent)), price(sent, 3)],
        [[1, 1], 3],
    ),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("times", [1, 2])
def test_headers_of_other_workflows_end(sent, name, times):
    header, expected = HEADERS[name]
    result = chord(header(sent), total(sent)).delay()

    sent.run_all(times=times)

    assert result.get(timeout=1) == expected


def test_a_body_that_is_a_chain_goes_on(sent):
    result = chord([price(sent, 1)], total(sent) | total(sent)).delay()

    sent.run_all()

    assert result.get(timeout=1) == [1]


def test_a_failed_header_task_fails_the_body_when_all_have_ended(sent):
    body = total(sent).on_error(sent.app.tasks["shop.on_error"].s())
    result = chord([price(sent, -1), price(sent, 2)], body).delay()
    failing, other = sent.waiting[:]

    sent.run(failing)
    assert result.state == states.PENDING
    sent.run(other)

    with pytest.raises(ChordError, match=r"raised ValueError\('no price -1'\)"):
        result.get(timeout=1, follow_parents=False)
    assert sent.bodies() == 0
    assert sent.names.count("shop.on_error") == 1


def test_a_failed_header_task_that_is_delivered_again_fails_the_body_once(sent):
    body = total(sent).on_error(sent.app.tasks["shop.on_error"].s())
    chord([price(sent, -1)], body).delay()

    sent.run(sent.waiting[0], times=3)

    assert sent.names.count("shop.on_error") == 1


def test_a_chain_that_fails_before_its_group_fails_the_body(sent):
    header = [chain(price(sent, -1), group(step(sent), step(sent))), price(sent, 2)]
    result = chord(header, total(sent)).delay()

    sent.run_all()

    with pytest.raises(ChordError):
        result.get(timeout=1)


def test_a_header_task_without_a_result_fails_the_body_with_a_reason(sent):
    sent.app.tasks["shop.price"].ignore_result = True
    result = chord([price(sent, 1)], total(sent)).delay()

    sent.run_all()

    with pytest.raises(ChordError, match="without a stored result"):
        result.get(timeout=1)


def test_a_body_that_cannot_be_sent_fails_with_the_reason(sent):
    result = chord([price(sent, 1)], total(sent)).delay()
    sent.error = BrokerDown("no broker")

    sent.run_all()

    with pytest.raises(ChordError, match="Callback error"):
        result.get(timeout=1)


def test_a_database_that_is_busy_while_the_body_is_sent_is_tried_again(sent, alias):
    result = chord([price(sent, 1)], total(sent)).delay()
    sent.error = _busy(alias)
    sent.app.backend  # noqa: B018 - the thread's backend, made before the clock runs

    def recover(*_):
        sent.error = None

    from celeriac.results import retry

    before, retry.pause = retry.pause, recover
    try:
        sent.run_all()
    finally:
        retry.pause = before

    assert result.get(timeout=1) == [1]
    assert sent.bodies() == 1


def _busy(alias):
    error = OperationalError("busy")
    cause = Exception(1213, "deadlock")
    error.__cause__ = cause
    return error


def test_a_task_of_an_unknown_chord_is_only_reported(sent, caplog):
    chord([price(sent, 1)], total(sent)).delay()
    Chord.objects.all().delete()

    with caplog.at_level(logging.WARNING):
        sent.run(sent.waiting[0])

    assert "is not known" in caplog.text
    assert sent.bodies() == 0


@pytest.fixture
def committed_late(sent, alias):
    """Publish a chord in a transaction that stays open until its header has run.

    The broker is not this database: it has the header's messages before the caller commits.
    """
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite's only writer is the caller: no worker can end a task before it commits.")

    def publish(header):
        def work():
            for message in sent.waiting:
                sent.run(message)
            connections.close_all()

        worker = threading.Thread(target=work)
        with transaction.atomic(using=alias):
            result = chord(header, total(sent)).delay()
            before = len(sent.waiting)
            worker.start()
            worker.join(20)
            assert not worker.is_alive()
            assert sent.bodies() == 0
        sent.waiting = sent.waiting[before:]
        return result

    return publish


def test_a_header_that_ends_before_its_chord_is_committed_sends_the_body(sent, committed_late):
    result = committed_late([price(sent, 1), price(sent, 2)])

    assert sent.bodies() == 1
    sent.run_all()
    assert result.get(timeout=1) == [1, 2]


def test_a_chain_that_fails_before_its_chord_is_committed_fails_the_body(sent, committed_late):
    inner = group(step(sent), group(step(sent), step(sent)))
    result = committed_late([chain(price(sent, -1), inner), price(sent, 2)])

    with pytest.raises(ChordError, match="no price"):
        result.get(timeout=1)


def test_a_chord_that_is_committed_between_two_looks_sends_the_body(sent, monkeypatch):
    chord([price(sent, 1)], total(sent)).delay()
    known = Chord.objects.get()
    known.delete()
    settle = chords._settle

    def commit_after(backend, end):
        found = settle(backend, end)
        known.save(force_insert=not Chord.objects.exists())
        return found

    monkeypatch.setattr(chords, "_settle", commit_after)

    sent.run(sent.waiting[0])

    assert sent.bodies() == 1


def test_the_header_of_a_large_chord_is_read_by_its_last_part_only(sent, alias):
    chord([price(sent, 1), price(sent, 2)], total(sent)).delay()

    with counted_queries(alias) as statements:
        sent.run(sent.waiting[0])
    assert not [sql for sql in statements if "header" in sql]


def test_a_chord_that_is_begun_again_keeps_its_parts(sent):
    args = ("g", [sent.app.AsyncResult("a"), sent.app.AsyncResult("b")])

    sent.app.backend.apply_chord(args, total(sent))
    Chord.objects.update(is_sent=True)
    sent.app.backend.apply_chord(args, total(sent))

    assert Chord.objects.get().is_sent


def test_a_task_adds_another_one_to_its_chord(sent):
    def extend(self):
        self.add_to_chord(self.app.tasks["shop.price"].si(5))
        return 4

    task = sent.app.task(extend, name="shop.extend", shared=False, bind=True)
    result = chord([task.s()], total(sent)).delay()

    sent.run_all()

    assert result.get(timeout=1) == [4, 5]


def test_a_task_that_replaces_itself_counts_when_the_other_has_ended(sent):
    def replace(self):
        return self.replace(group(price(sent, 1), price(sent, 2)))

    task = sent.app.task(replace, name="shop.replace", shared=False, bind=True)
    result = chord([task.s(), price(sent, 3)], total(sent)).delay()

    sent.run_all()

    assert result.get(timeout=1) == [[1, 2], 3]
