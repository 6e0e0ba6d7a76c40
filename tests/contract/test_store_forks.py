"""Forks: a child never speaks on its parent's connection, and never holds its parent's lock."""

import os
import signal

from celeriac.broker.locks import SessionLock
from celeriac.broker.session import BrokerSession
from celeriac.models import MessageState
from tests.broker import process, publish, rows, wait_until

BEGIN = """
import os
from celeriac.broker import presence
from celeriac.broker.deliveries import deliveries_for
from celeriac.broker.store import store_for
from django.db import connections
from tests.broker import message

def claim(limit):
    return len(deliveries_for(alias).claim(["mails"], limit))
"""
FORKS = f"""{BEGIN}
print(claim(1), presence.worker_id(alias), flush=True)
connections.close_all()
child = os.fork()
if child == 0:
    for _ in range(3):
        store_for(alias).publish("calls", message("of the child"))
    print(claim(1), presence.worker_id(alias), flush=True)
    sys.exit(0)
status = os.waitpid(child, 0)[1]
print(claim(1), presence.worker_id(alias), flush=True)
print(status, flush=True)
sys.stdin.read()
"""
ORPHANS = f"""{BEGIN}
claim(1)
worker = presence.worker_id(alias)
connections.close_all()
child = os.fork()
if child == 0:
    sys.stdin.read()
    os._exit(0)
print(worker, child, flush=True)
sys.stdin.read()
"""


def numbers(line):
    return [int(word) for word in line.split()]


def test_parent_and_child_claim_and_publish_each_on_their_own(broker):
    publish(broker, "mails", "one", "two", "three")

    with process(FORKS, broker) as forking:
        parent, child, parent_again = (numbers(forking.line()) for _ in range(3))
        status = forking.line()

        assert [parent[0], child[0], parent_again[0]] == [1, 1, 1]
        assert parent[1] == parent_again[1] != child[1]
        assert status == "0"
        assert rows(broker, queue="calls") == 3


def test_the_end_of_a_child_does_not_free_the_lock_of_its_parent(broker):
    session = BrokerSession(broker)

    with process(FORKS, broker) as forking:
        worker = numbers(forking.line())[1]
        while forking.line() != "0":
            pass

        assert not SessionLock(session).is_free(worker)
    session.close()


def test_a_child_that_outlives_its_killed_parent_does_not_hold_its_lock(broker):
    publish(broker, "mails", "one")
    session = BrokerSession(broker)

    with process(ORPHANS, broker) as forking:
        worker, child = numbers(forking.line())
        try:
            forking.kill()
            os.kill(child, 0)  # It lives.
            wait_until(lambda: SessionLock(session).is_free(worker), "the lock is free")
        finally:
            os.kill(child, signal.SIGKILL)

    assert rows(broker, state=MessageState.CLAIMED) == 1
    session.close()
