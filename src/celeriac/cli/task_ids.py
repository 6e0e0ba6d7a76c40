"""Tasks that are named by the beginnings of their ids."""

from collections.abc import Sequence

from celeriac.cli import output
from celeriac.selectors import tasks


def known(prefixes: Sequence[str]) -> list[str]:
    """The ids that are there; a line says which are not. Raises QueryError where several begin so."""
    found = tasks.resolved(prefixes)
    for prefix, task_id in found.items():
        if task_id is None:
            output.error(f"No task's id begins with {prefix!r}.")
    return list(dict.fromkeys(task_id for task_id in found.values() if task_id is not None))
