"""What wakes a worker that is told to stop, and what its process leaves out at its end."""

import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from celery import signals
from celery.concurrency import prefork, solo
from kombu.asynchronous import Hub
from kombu.message import Message
from vine import promise

from celeriac.worker import ending


def told(consumer: Any) -> list[int]:
    """What the loop would be woken by now."""
    return [fd for fd, _ in consumer.hub.poller.poll(0) or ()]


@pytest.fixture
def consumer() -> Any:
    return SimpleNamespace(hub=Hub())


def test_the_word_to_stop_wakes_the_loop_of_each_connection(consumer: Any) -> None:
    step = ending.StopAtOnce(consumer)
    for _ in range(2):
        step.start(consumer)
        assert told(consumer) == []

        signals.worker_shutting_down.send(sender="w@h", sig="SIGTERM", how="Warm", exitcode=0)

        (fd,) = told(consumer)
        callback, arguments = consumer.hub.readers[fd]
        callback(*arguments)
        assert told(consumer) == []
        # As after a lost connection: the hub is emptied before the step stops.
        consumer.hub.reset()
        step.stop(consumer)
        step.stop(consumer)
    signals.worker_shutting_down.send(sender="w@h", sig="SIGTERM", how="Warm", exitcode=0)


def test_a_worker_without_a_loop_needs_no_waking() -> None:
    consumer = SimpleNamespace(hub=None)
    step = ending.StopAtOnce(consumer)
    step.start(consumer)
    step.stop(consumer)


def test_another_pool_ends_as_it_will() -> None:
    pool = solo.TaskPool(1)
    ending.hasten(SimpleNamespace(pool=pool, hub=Hub()))
    assert "on_stop" not in vars(pool)


@pytest.mark.skipif(
    not hasattr(prefork, "_run_ready_callbacks"), reason="before Celery 5.7 it waits for nothing"
)
def test_acks_are_sent_while_the_pool_ends() -> None:
    hub = Hub()
    acked: list[int] = []

    class LastMessage(Message):  # type: ignore[misc]
        def ack_log_error(self, *_: Any, **__: Any) -> None:
            acked.append(1)

    class Processes:
        _state = ending.RUN

        def close(self) -> None:
            self._state = ending.CLOSE

        def join(self) -> None:
            assert self._state == ending.CLOSE
            hub.call_soon(promise(LastMessage().ack_log_error))

    pool = prefork.TaskPool(1)
    pool._pool = Processes()
    ending.hasten(SimpleNamespace(pool=pool, hub=hub))

    pool.on_stop()

    assert acked == [1]
    assert pool._pool is None
    pool.on_stop()


def test_a_signal_that_interrupts_the_word_to_stop_is_heard_too(monkeypatch: Any) -> None:
    heard = signals.worker_shutting_down
    monkeypatch.setattr(heard, "lock", threading.Lock())
    told: list[int] = []

    def receive(**_: Any) -> None:
        told.append(1)

    def interrupted() -> None:
        # Where a signal's handler may come: Celery is looking for its receivers.
        with heard.lock:
            heard.sender_receivers_cache.clear()
            heard.send(sender="w@h", sig="SIGTERM", how="Warm", exitcode=0)

    heard.connect(receive)
    try:
        ending.hear_repeated_signals()
        thread = threading.Thread(target=interrupted, daemon=True)
        thread.start()
        thread.join(30)
        assert told == [1]
    finally:
        heard.disconnect(receive)


def test_an_end_looks_for_garbage_among_what_came_later_alone() -> None:
    code = (
        "from celeriac.worker import ending\n"
        "class Knot:\n"
        "    def __init__(self, name): self.self, self.name = self, name\n"
        "    def __del__(self): print(self.name, flush=True)\n"
        "def tie(name): Knot(name)\n"
        "tie('before')\n"
        "ending.keep_what_is_imported()\n"
        "tie('after')\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "after\n"
