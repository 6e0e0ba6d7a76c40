"""A command that meets a table that is not there says in which database, and what to do."""

import pytest

from celeriac import publisher
from celeriac.cli.dead import COMMAND as DEAD
from celeriac.cli.queues import COMMAND as QUEUES
from celeriac.cli.status import COMMAND as STATUS
from celeriac.cli.tasks import COMMAND as TASKS
from celeriac.errors import TablesMissing
from tests.databases import without_table
from tests.results import make_app, results_in


@pytest.mark.parametrize(("command", "table"), [(DEAD, "celeriac_deadletter"), (QUEUES, "celeriac_queue")])
def test_the_database_without_the_table_is_named(broker, command, table):
    option = "" if broker == "default" else f" --database {broker}"
    with results_in("default"), without_table(broker, table), pytest.raises(TablesMissing) as error:
        command.run(make_app(broker_url=f"django://{broker}"), [])

    assert str(error.value) == (
        f"Celeriac's tables are not in database {broker!r}. Run: python manage.py migrate{option}"
    )


@pytest.mark.parametrize(
    ("command", "table"), [(STATUS, "celeriac_deadletter"), (DEAD, "celeriac_deadletter")]
)
def test_beside_another_broker_it_is_one_line_with_a_way_around(default_alias, command, table):
    with (
        results_in(default_alias),
        without_table(default_alias, table),
        pytest.raises(TablesMissing) as error,
    ):
        command.run(make_app(), [])

    assert str(error.value) == (
        "Celeriac's tables are not in database 'default'. Run: python manage.py migrate "
        "(needed with this broker too; without: python manage.py celery inspect ping)"
    )


def test_a_task_that_is_sent_beside_them_is_one_line_in_the_log(default_alias, caplog):
    def pay():
        """What it does is not asked."""

    with results_in(default_alias), without_table(default_alias, "celeriac_taskrecord"):
        app = make_app()
        publisher.install(app)
        app.task(pay, name="pay", shared=False).delay()

    (line,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert line.getMessage().endswith("not in database 'default'. Run: python manage.py migrate")
    assert not line.exc_info


def test_the_database_of_the_results_is_named_beside_another_of_the_messages(databases, default_alias):
    results = databases.get("postgresql")
    with (
        results_in(results),
        without_table(results, "celeriac_taskrecord"),
        pytest.raises(TablesMissing) as error,
    ):
        TASKS.run(make_app(broker_url=f"django://{default_alias}"), [])

    assert f"not in database {results!r}" in str(error.value)
