"""Quorum queues, which are the user's choice, as `docs/brokers.md` has them."""

from pathlib import Path

import pytest

from tests.process.project import Project

DOCUMENTED = Path(__file__).parents[2] / "docs" / "brokers.md"
ADD = "from tasks import add; result = add.delay(2, 2).get(timeout=60)"


@pytest.mark.parametrize("has_outbox", [True, False], ids=["outbox", "no outbox"])
def test_the_documented_settings_work(sqlite_project: Project, rabbitmq_url: str, has_outbox: bool) -> None:
    settings = DOCUMENTED.read_text().partition("```python\n")[2].partition("```")[0]
    sqlite_project.add_settings(settings)
    sqlite_project.add_settings(f"CELERY_BROKER_URL = {rabbitmq_url!r}")
    sqlite_project.add_settings(f"CELERIAC = {{'OUTBOX': {has_outbox}}}")

    with sqlite_project.worker("-c", "1") as worker:
        assert sqlite_project.python(ADD) == 4, worker.output
        delayed = ADD.replace(".delay(2, 2)", ".apply_async((2, 3), countdown=2)")
        assert sqlite_project.python(delayed) == 5, worker.output
        assert worker.stop() == 0, worker.output
