"""The tables that every message writes: PostgreSQL's settings for them come and go with the migration."""

import importlib

import pytest
from django.core.management import call_command
from django.db import connections, transaction
from django.db.models import F

from celeriac.models import TaskRecord

hot_tables = importlib.import_module("celeriac.migrations.0003_hot_tables")
cleaned_index = importlib.import_module("celeriac.migrations.0004_cleaned_index")


@pytest.fixture
def postgresql(databases):
    from tests.databases import emptied_afterwards

    with emptied_afterwards(databases.get("postgresql")) as alias:
        yield alias


def settings_of(alias, table):
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = %s", [table])
        return dict(option.split("=") for option in cursor.fetchone()[0] or [])


def test_the_hot_tables_are_vacuumed_soon(postgresql):
    for table, sooner in hot_tables.STORAGE.items():
        wanted = {**sooner, **cleaned_index.STORAGE.get(table, {})}
        assert settings_of(postgresql, table) == {name: str(value) for name, value in wanted.items()}


def test_the_results_table_of_another_app_is_left_alone(postgresql):
    assert settings_of(postgresql, "django_celery_results_taskresult") == {}


def test_the_migration_can_be_taken_back(alias):
    migrate(alias, "0002")
    try:
        if connections[alias].vendor == "postgresql":
            assert [settings_of(alias, table) for table in hot_tables.STORAGE] == [{}] * 4
    finally:
        migrate(alias)


@pytest.mark.parametrize("name", ["celeriac_record_root", "celeriac_record_group"])
def test_the_records_of_a_workflow_are_found_by_an_index(alias, name):
    connection = connections[alias]
    records = TaskRecord.objects.using(alias)
    of_root = records.filter(root_id="a").exclude(root_id=F("task_id"))
    wanted = {"celeriac_record_root": of_root, "celeriac_record_group": records.filter(group_id="a")}
    with transaction.atomic(using=alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Of a table without rows nobody reads an index.
            cursor.execute("SET LOCAL enable_seqscan = off")

        assert name in wanted[name].explain()


def test_models_and_migrations_agree():
    call_command("makemigrations", "--check", "--dry-run", "celeriac", verbosity=0)


def migrate(alias, *name):
    call_command("migrate", "celeriac", *name, database=alias, verbosity=0, interactive=False)
