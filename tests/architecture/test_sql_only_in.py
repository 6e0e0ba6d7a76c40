"""SQL stands where it can be read, indexed and checked for each database: nowhere else."""

import re

from tests.architecture.source import modules, name_of, strings_of

HOMES = (
    "broker/queries/",
    "results/attempts.py",
    "results/left_running.py",
    "results/records.py",
    "results/tables.py",
    "results/upsert.py",
    "results/publishing.py",
    "database/copying.py",
    "database/inserting.py",
    "database/transactions.py",
)
#: The beginning of a statement, in capitals, with what must follow it: not a word in a sentence.
STATEMENT = re.compile(
    r"\s*(?:SELECT|INSERT|UPDATE|DELETE|REPLACE|LISTEN|UNLISTEN|NOTIFY|PRAGMA|WITH|LOCK|SET|BEGIN|COPY)\s+\S"
)


def test_no_statement_stands_outside_its_homes():
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in modules()
        if not name_of(path).startswith(HOMES)
        for node in strings_of(path)
        if STATEMENT.match(node.value)
    ]

    assert not found, f"SQL belongs to {' and '.join(HOMES)}"
