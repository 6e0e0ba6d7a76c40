"""With the outbox tasks do what they do without it: retries and workflows, from within transactions."""

from pathlib import Path

import pytest

from tests.process.conftest import made
from tests.process.project import Project

TASKS = """
    from celery import chain, chord, group, shared_task
    from django.contrib.auth.models import Group
    from django.db import transaction
    from tasks import add, total

    @shared_task(bind=True, max_retries=3)
    def again(self):
        with transaction.atomic():
            Group.objects.create(name=f"attempt {self.request.retries}")
            if self.request.retries < 2:
                raise self.retry(countdown=0.1)
        return self.request.retries

    @shared_task(bind=True)
    def swap(self):
        with transaction.atomic():
            Group.objects.create(name="swap")
            raise self.replace(chord([add.s(1, 1), add.s(2, 2)], total.s()))
"""


@pytest.fixture(params=["rabbitmq", "redis"])
def outbox_project(request, tmp_path: Path) -> Project:
    url = request.getfixturevalue(f"{request.param}_url")
    # One connection for all: whoever sends from the outbox may not wait for a second one.
    settings = f"CELERY_BROKER_URL = {url!r}\nCELERY_BROKER_POOL_LIMIT = 1\nCELERIAC = {{'OUTBOX': True}}"
    project = made(tmp_path / "project", settings)
    project.write("flows/tasks.py", TASKS)
    return project


def test_retries_replacements_and_workflows_come_to_their_end(outbox_project: Project) -> None:
    with outbox_project.worker("-c", "2") as worker:
        found = outbox_project.python(
            """
            import celeriac
            from celery import chain, chord, group
            from django.contrib.auth.models import Group
            from django.db import transaction
            from celeriac.models import Outbox
            from flows.tasks import again, swap
            from tasks import add, total
            with transaction.atomic():
                sent = [
                    again.delay(),
                    swap.delay(),
                    chain(add.s(1, 2), add.s(3), add.s(4)).delay(),
                    chord([add.s(number, number) for number in range(5)], total.s()).delay(),
                    *celeriac.publish_many(add.s(number, 1) for number in range(3)),
                ]
            values = [each.get(timeout=50) for each in sent]
            result = [values, list(Group.objects.values_list("name", flat=True)), Outbox.objects.count()]
            """
        )

        assert found == [[2, 6, 10, 20, 1, 2, 3], ["attempt 2"], 0], worker.output
        assert worker.stop() == 0, worker.output
