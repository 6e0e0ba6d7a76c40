"""Bloat: while PostgreSQL may clean up nothing, a claim begins where it found something the last time."""

import pytest
from django.db import connections

from celeriac.broker.queries import floors as floors_of
from celeriac.broker.queries import queries_for
from celeriac.broker.queries.postgresql import _from_floors
from tests.broker import Stranger, bodies, process_of_its_own, publish


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """Every claim passes for a slow one, and time goes on when the test says so."""
    clock = Clock()
    monkeypatch.setattr(floors_of, "SLOW_SECONDS", -1.0)
    monkeypatch.setattr(floors_of, "_SLACK", 0)
    return clock


@pytest.fixture
def owner(databases, clock, monkeypatch):
    from tests.databases import emptied_afterwards

    with emptied_afterwards(databases.get("postgresql")) as alias, process_of_its_own():
        monkeypatch.setattr(queries_for(connections[alias]), "_floors", floors_of.Floors(clock))
        made = Stranger(alias)
        yield made
        made.close()


def give_back(owner, claimed):
    owner.session.run(lambda connection, queries: queries.release(connection, [(claimed.id, claimed.token)]))


@pytest.mark.parametrize("queues", [["mails"], ["mails", "calls"]])
def test_what_is_above_the_floor_is_claimed_in_its_order(owner, queues):
    publish(owner.session.alias, "mails", *"abcd")
    assert bodies(owner.claim(*queues, limit=2)) == ["a", "b"]

    publish(owner.session.alias, "mails", "urgent", priority=9)

    assert bodies(owner.claim(*queues, limit=2)) == ["urgent", "c"]
    assert bodies(owner.claim(*queues, limit=2)) == ["d"]


def test_what_is_below_the_floor_is_found_a_second_later(owner, clock):
    publish(owner.session.alias, "mails", *"abc")
    first, *_ = owner.claim("mails", limit=1)
    owner.claim("mails", limit=1)
    give_back(owner, first)

    assert bodies(owner.claim("mails")) == ["c"]
    assert owner.claim("mails") == []
    clock.now += 1.1
    assert bodies(owner.claim("mails")) == ["a"]


def test_a_claim_that_is_quick_reads_all(owner, monkeypatch):
    monkeypatch.setattr(floors_of, "SLOW_SECONDS", 3600.0)
    publish(owner.session.alias, "mails", *"abc")
    first, *_ = owner.claim("mails", limit=1)
    owner.claim("mails", limit=1)
    give_back(owner, first)

    assert bodies(owner.claim("mails")) == ["a", "c"]


def test_a_claim_from_the_floor_reads_nothing_below(owner):
    alias = owner.session.alias
    publish(alias, "mails", *map(str, range(300)))
    owner.claim("mails", limit=250)

    def read(connection, queries):
        known = queries._floors.of(alias, ["mails"])
        sql, parameters = _from_floors(known, 10)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN (ANALYZE, COSTS off) {sql}", parameters)
            return "\n".join(row[0] for row in cursor.fetchall())

    plan = owner.session.run(read)

    assert "(ROW(turn, id) >= ROW(wanted.turn, wanted.id))" in plan
    assert "(turn < wanted.turn)" in plan
    assert "Filter" not in plan.replace("Filter: ((state + 0) = 1)", ""), plan
    assert "celeriac_message_pkey on celeriac_message ready" in plan, plan
