"""What systemd is told of a worker: ready, alive, stopping; and nothing where nobody listens."""

import os
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace as Namespace

import pytest
from celery import signals

from celeriac.worker import notifying

READY = b"READY=1\nSTATUS=takes tasks from celery, mail"


class Consumer:
    """As much of Celery's as is asked."""

    app = Namespace(amqp=Namespace(queues=Namespace(consume_from={"celery": 1, "mail": 2})))


CONSUMER = Consumer()


@pytest.fixture(params=["file", "abstract"])
def systemd(request, monkeypatch):
    """The socket that systemd would read, named in the environment."""
    with (
        tempfile.TemporaryDirectory(prefix="n") as place,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
    ):
        path = f"{place}/s"
        told.bind(path if request.param == "file" else f"\0{path}")
        told.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", path if request.param == "file" else f"@{path}")
        yield told
    notifying.end()


@pytest.fixture(autouse=True)
def no_receivers():
    """Each test is a worker of its own."""
    yield
    signals.worker_ready.disconnect(dispatch_uid="celeriac.notifying.ready")
    signals.worker_shutting_down.disconnect(dispatch_uid="celeriac.notifying.stopping")


def test_systemd_hears_of_the_life_of_a_worker(systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))

    notifying.connect()
    signals.worker_ready.send(sender=CONSUMER)
    assert systemd.recv(1000) == READY
    assert systemd.recv(1000) == b"WATCHDOG=1"
    signals.worker_shutting_down.send(sender="worker", sig="SIGTERM", how="Warm", exitcode=0)
    while (said := systemd.recv(1000)) == b"WATCHDOG=1":
        pass
    assert said.startswith(b"STOPPING=1\n")
    # The tasks that run have their time; the worker is alive meanwhile.
    assert systemd.recv(1000) == b"WATCHDOG=1"


def test_the_programs_of_tasks_hear_nothing_of_systemd(systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "40000")

    notifying.connect()

    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)


def test_no_beats_for_another_process(systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    monkeypatch.setenv("WATCHDOG_PID", "1")

    notifying.connect()
    signals.worker_ready.send(sender=CONSUMER)

    assert systemd.recv(1000) == READY
    systemd.settimeout(0.1)
    with pytest.raises(TimeoutError):
        systemd.recv(1000)


def test_a_socket_that_is_gone_is_no_matter(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))

    notifying.connect()

    signals.worker_ready.send(sender=CONSUMER)
