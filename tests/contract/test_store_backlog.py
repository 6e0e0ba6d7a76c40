"""A backlog of 200,000 messages: every statement goes by an index, and sorts no more than it takes."""

import pytest
from django.db import connections

from celeriac.broker import clock
from celeriac.broker.queries import restoring
from celeriac.models import MessageState
from tests.broker import noted

READY, DELAYED, CLAIMED = 200_000, 10_000, 1_000

#: Numbers from 1, by each database's own means.
NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {most})",
    "postgresql": "WITH numbers AS (SELECT n FROM generate_series(1, {most}) AS series(n))",
    "mysql": "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {most})",
}
COLUMNS = (
    "queue, state, turn, available_at, published_at, task_id, payload, deliveries, claimed_by, claim_token"
)


@pytest.fixture
def backlog(broker, stranger):
    """200,000 ready messages of every priority in three queues, beside delayed and claimed ones."""
    hour = clock.seconds(3600)
    fill(broker, READY, MessageState.READY, 0)
    fill(broker, DELAYED, MessageState.DELAYED, hour)
    fill(broker, CLAIMED, MessageState.CLAIMED, 0, holder=stranger().worker)
    with connections[broker].cursor() as cursor:
        cursor.execute("ANALYZE TABLE celeriac_message" if cursor.db.vendor == "mysql" else "ANALYZE")
    return broker


def test_every_statement_goes_by_an_index(backlog, reader):
    connection = connections[backlog]
    claiming = reader()
    claiming.claim("warm up")
    plans = {}
    for name, queues in {"of one queue": ["q1"], "of several": ["q0", "q1", "q2", "empty"]}.items():
        with noted(claiming.deliveries.session.connection()) as statements:
            claimed = claiming.claim(*queues, limit=10)
        assert len(claimed) == 10
        plans[name] = explained(connection, statements)
    pairs = [(each.id, each.token) for each in claimed]

    for name, work in works(pairs).items():
        with noted(claiming.deliveries.session.connection()) as statements:
            claiming.deliveries.session.run(work)
        plans[name] = explained(connection, statements)

    slow = {name: lines for name, lines in plans.items() if any(is_slow(line) for line in lines)}
    assert not slow, slow
    for name in ("of one queue", "of several", "size", "purge"):
        assert "celeriac_message_next" in "\n".join(plans[name]), plans[name]
    for name in ("next_due", "promote"):
        assert "celeriac_message_due" in "\n".join(plans[name]), plans[name]
    assert "celeriac_message_claimed" in "\n".join(plans["restore"]), plans["restore"]


def works(pairs):
    """The statements beside the claim; nothing that they change is there, or it is what was claimed."""
    return {
        "ack": lambda its, queries: queries.ack(its, pairs[:3]),
        "release": lambda its, queries: queries.release(its, pairs[3:6]),
        "requeue": lambda its, queries: queries.requeue(its, pairs[6:8]),
        "bury": lambda its, queries: queries.bury(its, pairs[8:], "over", clock.now()),
        "size": lambda its, queries: queries.size(its, "q0", 10_000),
        "purge": lambda its, queries: queries.purge(its, "q0"),
        "next_due": lambda its, queries: queries.next_due(its, ["q0"], clock.now()),
        "promote": lambda its, queries: queries.promote(its, clock.now()),
        "restore": lambda its, _: restoring.restore(its, 123456),
        "undo_claim": lambda its, _: restoring.undo_claim(its, 123456, 1),
    }


def is_slow(line):
    """Whether a line of a plan reads every row of the table, or sorts more than a claim's candidates."""
    of_table = "table=celeriac_message " in line or "table=message " in line
    return (
        # SQLite and PostgreSQL.
        any(words in line for words in ("SCAN celeriac_message", "Seq Scan on celeriac_message"))
        # MariaDB and MySQL: ALL is every row, index every entry; a derived table has the candidates alone.
        or (of_table and any(words in line for words in ("type=ALL", "type=index ", "filesort")))
    )


def fill(alias, count, state, delay, *, holder=None, payload_bytes=100):
    """Insert messages by one statement; three queues and all priorities in turn."""
    connection = connections[alias]
    now = clock.now()
    numbers = NUMBERS[connection.vendor].format(most=count)
    name = "'q' || (n % 3)" if connection.vendor != "mysql" else "CONCAT('q', n % 3)"
    constants = (int(state), now + delay, now, "task", "x" * payload_bytes, 1, holder, 1 if holder else None)
    rows = f"SELECT {name}, %s, n % 10, %s, %s, %s, %s, %s, %s, %s FROM numbers".replace("% ", "%% ")
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.execute("SET SESSION max_recursive_iterations = 1000000")
        cursor.execute(f"INSERT INTO celeriac_message ({COLUMNS}) {numbers} {rows}", constants)


def explained(connection, statements):
    """How the database would do each of the statements that touch messages, a line for each step."""
    lines = []
    prefix = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        for sql, params in statements:
            if "celeriac_message" not in sql:
                continue
            cursor.execute(f"{prefix} {sql}", params)
            names = [column[0] for column in cursor.description]
            rows = [zip(names, row, strict=True) for row in cursor.fetchall()]
            lines += [" ".join(f"{name}={value}" for name, value in row) for row in rows]
    return lines
