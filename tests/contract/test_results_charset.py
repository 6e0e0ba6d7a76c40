"""Results in the tables of an older MySQL or MariaDB, which lack the characters above U+FFFF."""

from contextlib import contextmanager

import pytest
from celery import states
from django.db import connections, transaction
from django_celery_results.models import TaskResult

from celeriac.models import Attempt, TaskRecord
from celeriac.results import upsert
from tests.databases import emptied_afterwards
from tests.results import counted_queries, mark, row

TEXT = "ValueError: no seat for 🙂 but for é"


@contextmanager
def converted(alias, charset):
    """The two tables in a character set; afterwards in that of the tests again."""

    def convert(to):
        with connections[alias].cursor() as cursor:
            for model in (TaskResult, TaskRecord, Attempt):
                cursor.execute(f"ALTER TABLE {model._meta.db_table} CONVERT TO CHARACTER SET {to}")

    convert(charset)
    try:
        yield
    finally:
        convert("utf8mb4")


@pytest.fixture
def old_alias(databases):
    with emptied_afterwards(databases.get("mariadb")) as alias, converted(alias, "utf8mb3"):
        yield alias


def test_a_task_ends_as_it_ended_whatever_its_error_says(old_alias):
    with transaction.atomic(using=old_alias):
        upsert.write(connections[old_alias], [mark("a", states.STARTED), mark("b", states.STARTED)])
        upsert.write(
            connections[old_alias],
            [mark("a", states.FAILURE, traceback=TEXT), mark("b", states.SUCCESS, result="1")],
        )

    assert (row(old_alias, "a").status, row(old_alias, "b").status) == (states.FAILURE, states.SUCCESS)
    assert row(old_alias, "a").traceback == "ValueError: no seat for \ufffd but for é"


def test_where_the_table_holds_every_character_each_is_kept(alias):
    with counted_queries(alias) as statements:
        upsert.write(connections[alias], [mark("a", states.FAILURE, traceback=TEXT)])

    assert row(alias, "a").traceback == TEXT
    assert len([each for each in statements if each.startswith("INSERT")]) == 1
