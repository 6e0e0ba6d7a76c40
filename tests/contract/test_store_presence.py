"""Presence: what a dead worker held goes to the others, and what a living one holds stays with it."""

import math
import os
import socket
import time
from types import SimpleNamespace

import pytest
from django.db import connections
from django.test import override_settings

from celeriac.broker import clock, presence
from celeriac.broker.locks import SessionLock
from celeriac.broker.queries import workers
from celeriac.broker.reaper import Reaper
from celeriac.broker.session import BrokerSession
from celeriac.errors import NodeNameTaken
from celeriac.models import Message, MessageState, Worker
from tests.broker import bodies, in_threads, process, publish, rows, wait_until

#: Between two looks of a reaper, where a test lets its clock go on.
LOOK_SECONDS = 2
HOLDS = """
from celeriac.broker.deliveries import deliveries_for
print(len(deliveries_for(alias).claim(["mails"], 100)), flush=True)
sys.stdin.read()
"""
NAMED = """
from celeriac.broker import presence
print(presence.presence_for(alias, "one@here").worker, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def later(monkeypatch):
    """Lets the reapers' clock go on, and those that are named look around each time."""
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr("celeriac.broker.reaper.time", clock)

    def go_on(seconds, *watching):
        for _ in range(math.ceil(seconds / LOOK_SECONDS)):
            clock.now += min(seconds, LOOK_SECONDS)
            for each in watching:
                each.reap(0)

    return go_on


@pytest.fixture
def reaper(broker, later):
    """A reaper of this host."""
    session = BrokerSession(broker)
    made = Reaper(session, SessionLock(session), socket.gethostname())
    yield made
    session.close()


def test_the_messages_of_a_killed_process_go_to_the_others(broker, reader):
    publish(broker, "mails", "one", "two", "three")
    mine = presence.worker_id(broker)

    with process(HOLDS, broker) as holder:
        assert holder.line() == "3"
        assert reader().claim("mails") == []
        # Its parent, this process, does not ask for its end: as under a container's first process.
        holder.process.kill()
        started = time.monotonic()
        wait_until(lambda: rows(broker, state=MessageState.READY) == 3, "the messages are given back")

    # By its lock, which went with it: its heartbeat is missed after 30 s only.
    assert time.monotonic() - started < 5
    lost = Worker.objects.using(broker).exclude(pk=mine).get()
    assert (lost.pid, lost.is_lost, lost.has_lock) == (holder.process.pid, True, True)
    again = reader().claim("mails")
    assert (bodies(again), {each.deliveries for each in again}) == (["one", "two", "three"], {2})


def test_a_living_process_keeps_its_messages(broker, reaper):
    publish(broker, "mails", "one")

    with process(HOLDS, broker) as holder:
        assert holder.line() == "1"

        assert [reaper.reap(0), reaper.sweep(), reaper.reap(0)] == [0, 0, 0]

    assert rows(broker, state=MessageState.CLAIMED) == 1
    assert not Worker.objects.using(broker).get().is_lost


def test_the_lock_of_a_living_process_is_taken_and_that_of_a_killed_one_is_free(broker):
    session = BrokerSession(broker)
    lock = SessionLock(session)

    with process(NAMED, broker) as holder:
        worker = int(holder.line())
        assert not lock.is_free(worker)
        holder.kill()
        wait_until(lambda: lock.is_free(worker), "the server or the kernel frees the lock")

    # To ask does not take it.
    assert lock.is_free(worker)
    session.close()


def test_a_living_worker_that_lost_its_connection_keeps_its_messages_and_takes_its_lock_again(broker, reaper):
    if connections[broker].vendor == "sqlite":
        pytest.skip("On SQLite the lock is a file's; it goes with the process alone.")
    publish(broker, "mails", "one")
    session = BrokerSession(broker)
    lock = SessionLock(session)

    with process(HOLDS, broker) as holder:
        assert holder.line() == "1"
        worker = Worker.objects.using(broker).get().pk
        end_other_connections(broker)
        wait_until(lambda: lock.is_free(worker), "the server frees the lock")
        assert (reaper.reap(0), reaper.reap(0)) == (0, 0)

        wait_until(lambda: not lock.is_free(worker), "the worker takes its lock again")
        assert reaper.reap(0) == 0

    assert rows(broker, state=MessageState.CLAIMED) == 1
    session.close()


def end_other_connections(alias):
    """What a restart of the server does to them."""
    with connections[alias].cursor() as cursor:
        if connections[alias].vendor == "postgresql":
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return
        cursor.execute(
            "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
        )
        for (connection,) in cursor.fetchall():
            cursor.execute(f"KILL {connection}")


def test_a_worker_without_a_lock_is_lost_when_its_heart_stops(broker, stranger, reaper, later):
    publish(broker, "mails", "one", "two")
    silent = stranger()
    silent.claim("mails")
    reaper.reap(0)

    later(28, reaper)
    assert not silent.is_held_for_lost()
    later(4, reaper)
    assert silent.is_held_for_lost()

    assert rows(broker, state=MessageState.READY, claimed_by=None) == 2
    assert silent.beat() is False


def test_the_late_ack_of_a_lost_worker_does_nothing(broker, stranger, reaper, later):
    publish(broker, "mails", "one")
    silent = stranger()
    [claimed] = silent.claim("mails")
    reaper.reap(0)
    later(60, reaper)

    acked = silent.session.run(
        lambda connection, queries: queries.ack(connection, [(claimed.id, claimed.token)])
    )

    assert (acked, rows(broker, state=MessageState.READY)) == (0, 1)


def test_the_time_without_a_heartbeat_can_be_set(broker, stranger, reaper, later):
    silent = stranger()
    reaper.reap(0)
    later(0.5)

    with override_settings(CELERIAC={"LOST_AFTER_SECONDS": 0.4}):
        reaper.reap(0)

    assert silent.is_held_for_lost()


def test_a_worker_whose_heart_beats_is_not_lost(broker, stranger, reaper, later):
    publish(broker, "mails", "one")
    beating = stranger()
    beating.claim("mails")

    for _ in range(10):
        assert beating.beat()
        assert reaper.reap(0) == 0
        later(20)

    assert rows(broker, state=MessageState.CLAIMED) == 1


def test_a_reaper_that_slept_does_not_take_the_others_for_dead(broker, stranger, reaper, later):
    beating = stranger()
    reaper.reap(0)
    later(3600)
    beating.beat()

    reaper.reap(0)

    assert not beating.is_held_for_lost()


def test_a_dead_worker_is_lost_once_however_many_notice(broker, stranger, later, caplog):
    publish(broker, "mails", "one", "two", "three")
    silent = stranger()
    silent.claim("mails")
    sessions = [BrokerSession(broker) for _ in range(4)]
    reapers = [Reaper(session, SessionLock(session), "here") for session in sessions]
    for each in reapers:
        each.reap(0)
    later(30, *reapers)
    later(LOOK_SECONDS)

    restored = in_threads([lambda each=each: each.reap(0) for each in reapers])

    assert sorted(restored) == [0, 0, 0, 3]
    assert caplog.text.count("is lost") == 1
    for session in sessions:
        session.close()


def test_what_nobody_holds_any_more_is_swept(broker, stranger, reaper):
    publish(broker, "mails", "gone", "lost", "held")
    gone, lost, holding = stranger(), stranger(), stranger()
    for each in (gone, lost, holding):
        each.claim("mails", limit=1)
    Worker.objects.using(broker).filter(pk=gone.worker).delete()
    Worker.objects.using(broker).filter(pk=lost.worker).update(is_lost=True)

    assert reaper.sweep() == 2

    [held] = Message.objects.using(broker).filter(state=MessageState.CLAIMED)
    assert held.claimed_by == holding.worker


def test_lost_workers_are_remembered_for_a_day(broker, stranger, reaper):
    old, young, living = stranger(), stranger(), stranger()
    workers = Worker.objects.using(broker)
    workers.filter(pk__in=[old.worker, young.worker]).update(is_lost=True)
    workers.filter(pk__in=[old.worker, living.worker]).update(started_at=clock.now() - clock.seconds(90_000))

    reaper.sweep()

    assert set(workers.values_list("pk", flat=True)) == {young.worker, living.worker}


@override_settings(CELERIAC={"HEARTBEAT_SECONDS": 0.01})
def test_a_worker_that_was_held_for_lost_begins_anew(broker, reader):
    publish(broker, "mails", "one")
    [claimed] = reader().claim("mails")
    before = presence.worker_id(broker)
    # As a reaper does it that could not see the heartbeats.
    session = BrokerSession(broker)
    [peer] = session.run(
        lambda connection, _: [each for each in presence.workers.peers(connection, 0) if each.id == before]
    )
    Reaper(session, SessionLock(session), "elsewhere").lose(peer)
    session.close()

    wait_until(lambda: presence.worker_id(broker) != before, "the heartbeat finds it out")

    [again] = reader().claim("mails")
    assert (again.id, again.deliveries) == (claimed.id, 2)
    living = Worker.objects.using(broker).filter(is_lost=False)
    wait_until(lambda: living.get().has_lock, "the new life has its own lock")
    assert living.get().pk == presence.worker_id(broker)


def test_a_second_worker_of_the_same_name_is_refused(broker):
    with process(NAMED, broker) as holder:
        holder.line()

        with pytest.raises(NodeNameTaken, match=rf"one@here .*pid {holder.process.pid} on .*-n one2@%h"):
            presence.presence_for(broker, "one@here")

        assert Worker.objects.using(broker).count() == 1


def test_the_name_of_a_killed_worker_is_free_at_once(broker):
    with process(NAMED, broker) as holder:
        worker = int(holder.line())
        holder.kill()

    def begin():
        try:
            return presence.presence_for(broker, "one@here")
        except NodeNameTaken:
            return None  # The server has not yet noticed the end of the connection.

    begun = wait_until(begin, "the name is free")

    assert begun.worker != worker
    assert Worker.objects.using(broker).get(pk=worker).is_lost


def test_the_name_of_a_worker_that_ended_is_free(broker):
    first = presence.presence_for(broker, "one@here")
    presence.end_all()

    assert presence.presence_for(broker, "one@here").worker != first.worker


def test_a_worker_that_ends_leaves_no_row_and_no_lock(broker):
    presence.presence_for(broker, "one@here").describe("prefork", 4, ["mails", "calls"])
    found = Worker.objects.using(broker).get()
    assert (found.node, found.pid, found.pool, found.concurrency) == ("one@here", os.getpid(), "prefork", 4)
    assert (found.queues, found.has_lock) == ("mails,calls", True)

    presence.end_all()

    assert not Worker.objects.using(broker).exists()
    session = BrokerSession(broker)
    assert SessionLock(session).is_free(found.pk)
    session.close()


def test_the_heart_beats(broker):
    with override_settings(CELERIAC={"HEARTBEAT_SECONDS": 0.01}):
        worker = presence.worker_id(broker)

        def heartbeat():
            return Worker.objects.using(broker).get(pk=worker).heartbeat

        before = heartbeat()
        wait_until(lambda: heartbeat() > before, "the heartbeat counts up")


def test_only_what_had_begun_counts_as_delivered_when_its_worker_dies(broker, stranger, reaper):
    publish(broker, "mails", "running", "behind", "further behind")
    dying = stranger()
    dying.session.run(
        lambda connection, _: workers.describe(connection, dying.worker, "prefork", 1, ["mails"])
    )
    for _ in range(3):
        dying.claim("mails", limit=1)
    [peer] = reaper._session.run(lambda connection, _: workers.peers(connection, 0))

    assert reaper.lose(peer) == 3

    found = Message.objects.using(broker).order_by("id").values_list("deliveries", "state")
    assert list(found) == [(1, MessageState.READY), (0, MessageState.READY), (0, MessageState.READY)]
