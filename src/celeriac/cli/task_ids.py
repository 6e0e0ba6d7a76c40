"""Tasks that are named by the beginnings of their ids."""

from collections.abc import Sequence

from celeriac.cli import output
from celeriac.selectors import tasks


def known(prefixes: Sequence[str]) -> tuple[list[str], bool]:
    """The ids that are there, and whether all are; a line says which are not.

    Raises QueryError where several begin so.
    """
    found = tasks.resolved(prefixes)
    for prefix, task_id in found.items():
        if task_id is None:
            output.error(f"No task's id begins with {prefix!r}.")
    ids = list(dict.fromkeys(task_id for task_id in found.values() if task_id is not None))
    return ids, None not in found.values()
