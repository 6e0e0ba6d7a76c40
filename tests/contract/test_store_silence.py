"""Fault F5, silence and death: what a silent heart proves on this host and another, and what not."""

import os
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
from django.test import override_settings

from celeriac.broker import clock, naming, processes
from celeriac.broker.locks import SessionLock
from celeriac.broker.reaper import Reaper
from celeriac.broker.session import BrokerSession
from celeriac.errors import NodeNameTaken
from celeriac.models import MessageState, Worker
from tests.broker import process, publish, rows

HOLDS = """
from celeriac.broker import presence
from celeriac.broker.deliveries import deliveries_for
presence.presence_for(alias, "one@here")
print(len(deliveries_for(alias).claim(["mails"], 100)), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def time(monkeypatch):
    """The reaper's clock."""
    made = SimpleNamespace(now=1000.0, monotonic=lambda: made.now)
    monkeypatch.setattr("celeriac.broker.reaper.time", made)
    return made


@pytest.fixture
def session(broker):
    made = BrokerSession(broker)
    yield made
    made.close()


@pytest.fixture
def reaper(session, time):
    """A reaper of this host."""
    return Reaper(session, SessionLock(session), socket.gethostname())


def watch(reaper, time, seconds):
    """Look around for so long, as the thread of a presence does; how many messages were given back."""
    restored = reaper.reap(0)
    for _ in range(seconds):
        time.now += 1
        restored += reaper.reap(0)
    return restored


def test_a_silent_process_of_this_host_that_has_its_lock_keeps_its_messages(broker, reaper, time):
    publish(broker, "mails", "one")

    with process(HOLDS, broker) as holder:
        assert holder.line() == "1"
        # Alive, and as silent as one that the database did not let write.
        holder.process.send_signal(signal.SIGSTOP)

        assert watch(reaper, time, 60) == 0

    assert rows(broker, state=MessageState.CLAIMED) == 1


@override_settings(CELERIAC={"HEARTBEAT_SECONDS": 1, "LOST_AFTER_SECONDS": 3})
def test_the_name_of_a_silent_process_of_this_host_that_has_its_lock_is_refused(
    broker, session, reaper, time
):
    def go_on(seconds):
        time.now += seconds

    with process(HOLDS, broker) as holder:
        holder.line()
        holder.process.send_signal(signal.SIGSTOP)

        with pytest.raises(NodeNameTaken, match=rf"pid {holder.process.pid} on "):
            naming.claim(session, reaper, "one@here", go_on)


def test_time_in_which_nobody_could_look_does_not_count_as_silence(broker, stranger, reaper, time):
    publish(broker, "mails", "one")
    silent = stranger()
    silent.claim("mails")
    watch(reaper, time, 20)

    # An outage of the database, a lock on the file, a suspended machine.
    time.now += 45

    assert watch(reaper, time, 29) == 0
    assert not silent.is_held_for_lost()
    assert watch(reaper, time, 2) == 1


def test_a_lock_that_the_server_keeps_for_a_crashed_host_does_not_keep_its_messages(
    broker, session, stranger, reaper, time
):
    publish(broker, "mails", "one")
    crashed = stranger("one@elsewhere", "elsewhere")
    crashed.claim("mails")
    # Nobody tells the server that the connection has no other end.
    lock = SessionLock(crashed.session)
    assert lock.acquire(crashed.worker)
    Worker.objects.using(broker).filter(pk=crashed.worker).update(has_lock=True)

    assert watch(reaper, time, 32) == 1

    lock.release(crashed.worker)


def test_a_process_that_has_the_number_of_a_crashed_one_does_not_keep_its_messages(
    broker, stranger, reaper, time
):
    if broker == "default":
        pytest.skip("The lock of a file goes with the host that crashed.")
    publish(broker, "mails", "one")
    crashed = stranger("one@here", socket.gethostname())
    crashed.claim("mails")
    lock = SessionLock(crashed.session)
    assert lock.acquire(crashed.worker)
    # The host has started again since, and has given the number to another process.
    Worker.objects.using(broker).filter(pk=crashed.worker).update(
        has_lock=True, pid=os.getppid(), started_at=clock.seconds(60)
    )

    assert watch(reaper, time, 32) == 1

    lock.release(crashed.worker)


def test_this_host_knows_when_a_process_began():
    before = clock.now()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as young:
        assert processes.may_have_run_at(young.pid, clock.now())
        assert processes.may_have_run_at(os.getpid(), before)
        assert not processes.is_gone(young.pid)
        if sys.platform == "linux":
            assert not processes.may_have_run_at(young.pid, before - clock.seconds(60))
        young.kill()

    assert processes.is_gone(young.pid)
    assert not processes.may_have_run_at(young.pid, clock.now())
