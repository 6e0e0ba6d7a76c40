"""Node names: a living bearer keeps its name and its messages, a dead one hinders nobody for ever."""

import os
import socket
import time
from types import SimpleNamespace

import pytest
from django.test import override_settings

from celeriac.broker import clock, naming, presence
from celeriac.broker.errors import BrokerRefused
from celeriac.broker.locks import SessionLock
from celeriac.broker.session import BrokerSession
from celeriac.errors import NodeNameTaken
from celeriac.models import MessageState, Worker
from tests.broker import in_thread, process, publish, rows, wait_until

#: Its heart beats often, so that nobody has to wait for it.
BEATS = """
from django.conf import settings
settings.CELERIAC = {"HEARTBEAT_SECONDS": 0.1}
from celeriac.broker import presence
from celeriac.broker.deliveries import deliveries_for
worker = presence.presence_for(alias, "one@here").worker
print(worker, len(deliveries_for(alias).claim(["mails"], 1)), flush=True)
sys.stdin.read()
"""


class SharedSession:
    """What a session of its own is behind an idle transaction pooler: the one server process again."""

    def __init__(self, session):
        self.alias, self.run = session.alias, session.run

    def close(self):
        pass


@pytest.fixture
def pooled(broker, monkeypatch):
    """A session behind a pooler with one server process; every other one of a lock is the same."""
    session = BrokerSession(broker)
    monkeypatch.setattr("celeriac.broker.locks.BrokerSession", lambda _: SharedSession(session))
    yield session
    session.close()


@pytest.fixture
def crashed(broker, stranger, monkeypatch):
    """A worker whose host is gone, while the server still holds its lock for a half-open connection.

    The host is there again, and the number of the process too. A file's lock goes with its host for certain.
    """
    monkeypatch.setattr(SessionLock, "is_free", lambda *_: False)
    monkeypatch.setattr("celeriac.broker.naming._LOOK_SECONDS", 0.01)
    made = stranger("one@here", "elsewhere" if broker == "default" else socket.gethostname())
    Worker.objects.using(broker).filter(pk=made.worker).update(
        has_lock=True, pid=os.getppid(), started_at=clock.seconds(60)
    )
    return made


def test_a_lock_that_a_pooler_would_grant_to_everybody_is_not_taken(broker, pooled, alias):
    if alias == "default":
        pytest.skip("A file has no pooler.")
    direct = BrokerSession(broker)

    assert SessionLock(pooled).acquire(7) is False

    # And nothing of the try is left on the server's process, where others would meet it.
    assert SessionLock(direct).is_free(7)
    direct.close()


def test_a_lock_that_shuts_others_out_is_taken(broker):
    session, other = BrokerSession(broker), BrokerSession(broker)
    lock = SessionLock(session)

    assert lock.acquire(7)

    assert not SessionLock(other).is_free(7)
    lock.release(7)
    session.close()
    other.close()


def test_without_a_connection_to_spare_there_is_no_lock(broker, alias, monkeypatch):
    if alias == "default":
        pytest.skip("A file's lock needs no second connection.")

    class Refused(SharedSession):
        def __init__(self, _):
            pass

        def run(self, *_, **__):
            raise BrokerRefused("too many connections")

    session, other = BrokerSession(broker), BrokerSession(broker)
    monkeypatch.setattr("celeriac.broker.locks.BrokerSession", Refused)

    assert SessionLock(session).acquire(7) is False

    assert SessionLock(other).is_free(7)
    session.close()
    other.close()


def test_a_living_worker_whose_lock_is_free_keeps_its_name_and_its_messages(broker, monkeypatch):
    publish(broker, "mails", "one")
    monkeypatch.setattr(SessionLock, "is_free", lambda *_: True)

    with process(BEATS, broker) as holder:
        worker, claimed = holder.line().split()
        assert claimed == "1"

        with pytest.raises(NodeNameTaken, match=rf"pid {holder.process.pid} on "):
            presence.presence_for(broker, "one@here")

        assert Worker.objects.using(broker).get().pk == int(worker)
        assert not Worker.objects.using(broker).get().is_lost
        assert rows(broker, state=MessageState.CLAIMED) == 1


@override_settings(CELERIAC={"HEARTBEAT_SECONDS": 0.05, "LOST_AFTER_SECONDS": 0.2})
def test_the_name_of_a_worker_whose_host_crashed_is_free_in_the_end(broker, crashed, caplog):
    begun = presence.presence_for(broker, "one@here")

    assert begun.worker != crashed.worker
    assert crashed.is_held_for_lost()
    # Who waits for it is told so, once.
    assert caplog.text.count("waits up to 0.2 s for a heartbeat") == 1


def test_a_namesake_whose_heartbeat_counts_up_is_known_to_live(broker, crashed):
    session = BrokerSession(broker)
    looks = []

    def beat(seconds):
        looks.append(seconds)
        in_thread(crashed.beat)

    reaper = presence.Reaper(session, SessionLock(session), socket.gethostname())
    with pytest.raises(NodeNameTaken, match=r"one@here is running already .* -n one2@%h"):
        naming.claim(session, reaper, "one@here", beat)

    # At the next look, not after LOST_AFTER_SECONDS.
    assert len(looks) == 1
    assert not crashed.is_held_for_lost()
    session.close()


def test_a_namesake_without_a_lock_is_not_dead_because_its_process_is_not_found(
    broker, stranger, monkeypatch
):
    # Containers of one host name see the same numbers, and this one's is that of the other.
    twin = stranger("one@here", socket.gethostname())
    later = SimpleNamespace(now=0.0, monotonic=lambda: later.now)
    monkeypatch.setattr("celeriac.broker.reaper.time", later)
    session = BrokerSession(broker)
    reaper = presence.Reaper(session, SessionLock(session), socket.gethostname())
    looks = []

    def go_on(seconds):
        looks.append(twin.is_held_for_lost())
        later.now += 3.5

    naming.claim(session, reaper, "one@here", go_on)

    assert looks == [False, False]  # 0 s and 3.5 s; lost at 7 s, when a heartbeat was overdue.
    assert twin.is_held_for_lost()
    session.close()


@override_settings(CELERIAC={"HEARTBEAT_SECONDS": 0.01})
def test_presence_goes_on_after_an_error_that_nobody_foresaw(broker, monkeypatch, caplog):
    monkeypatch.setattr(presence, "_LOOK_SECONDS", 0.01)
    errors = []

    def fail(*_):
        errors.append(1)
        raise PermissionError("not yours")

    monkeypatch.setattr(presence.Reaper, "reap", fail)
    worker = presence.worker_id(broker)

    def heartbeat():
        return Worker.objects.using(broker).get(pk=worker).heartbeat

    wait_until(lambda: len(errors) > 1, "it fails more than once")
    before = heartbeat()
    wait_until(lambda: heartbeat() > before, "the heart beats on")

    assert "PermissionError: not yours" in caplog.text


@override_settings(CELERIAC={"HEARTBEAT_SECONDS": 0.01})
def test_presence_goes_on_when_it_cannot_wake_the_others(broker, monkeypatch):
    monkeypatch.setattr(presence, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(presence.Reaper, "reap", lambda *_: 1)
    rung = []

    def fail(self):
        rung.append(time.monotonic())
        raise BrokerRefused("no")

    monkeypatch.setattr(presence.Presence, "_wake", fail)
    presence.worker_id(broker)

    wait_until(lambda: len(rung) > 1, "it goes on")
