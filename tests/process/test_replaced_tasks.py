"""A task that replaces itself inside a transaction: what takes its place runs, whatever it is made of."""

import pytest

from tests.process.project import Project

TASKS = """
    from celery import chain, chord, group, shared_task
    from django.contrib.auth.models import Group
    from django.db import transaction
    from tasks import add, fail, total

    KINDS = {
        "chain": lambda: chain(add.s(1, 2), add.s(3)),
        "group": lambda: group(add.s(1, 1), add.s(2, 2)),
        "chord": lambda: chord([add.s(1, 1), add.s(2, 2)], total.s()),
    }

    @shared_task(bind=True)
    def swap(self, kind):
        with transaction.atomic():
            Group.objects.create(name=kind)
            raise self.replace(KINDS[kind]())

    @shared_task(bind=True)
    def swap_for_what_cannot_be_sent(self):
        with transaction.atomic():
            raise self.replace(add.s(object(), 1))
"""


@pytest.mark.parametrize(("kind", "value"), [("chain", 6), ("group", [2, 4]), ("chord", 6)])
def test_what_replaces_a_task_inside_a_transaction_is_not_rolled_back(
    project: Project, kind: str, value: object
) -> None:
    project.write("swaps/tasks.py", TASKS)
    with project.worker("-c", "1") as worker:
        result = project.python(
            f"""
            from celery import chord
            from django.contrib.auth.models import Group
            from swaps.tasks import swap
            from tasks import add
            alone = swap.delay({kind!r}).get(timeout=30)
            in_a_chain = (swap.si({kind!r}) | add.si(20, 2)).delay().get(timeout=30)
            result = [alone, in_a_chain, Group.objects.count()]
            """
        )

        assert result == [value, 22, 0], worker.output


def test_a_replacement_that_cannot_be_sent_fails_the_task(database_project: Project) -> None:
    database_project.write("swaps/tasks.py", TASKS)
    with database_project.worker("-c", "1") as worker:
        error = database_project.python(
            """
            from swaps.tasks import swap_for_what_cannot_be_sent
            ended = swap_for_what_cannot_be_sent.delay()
            ended.get(timeout=30, propagate=False)
            result = [ended.state, repr(ended.result)]
            """
        )

        assert error[0] == "FAILURE", worker.output
        assert "EncodeError" in error[1]
        assert "cannot be sent" in error[1]
