"""A command that meets a table that is not there says in which database, and what to do."""

import pytest

from celeriac.cli.dead import COMMAND as DEAD
from celeriac.cli.queues import COMMAND as QUEUES
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


def test_the_database_of_the_results_is_named_beside_another_of_the_messages(databases, default_alias):
    results = databases.get("postgresql")
    with (
        results_in(results),
        without_table(results, "celeriac_taskrecord"),
        pytest.raises(TablesMissing) as error,
    ):
        TASKS.run(make_app(broker_url=f"django://{default_alias}"), [])

    assert f"not in database {results!r}" in str(error.value)
