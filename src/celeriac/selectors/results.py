"""What a task returned, as the text that is stored: nothing is rebuilt from it."""

import json

from django_celery_results.models import TaskResult

from celeriac.results.pending import results_alias

#: Characters that are read at the most.
_MOST = 4000


def text_of(task_id: str) -> str | None:
    """The stored text of what a task returned or raised; None: nothing is stored."""
    rows = TaskResult._default_manager.using(results_alias()).filter(task_id=task_id)
    text = rows.values_list("result", flat=True).first()
    if text is None or _is_nothing(text):
        return None
    return text if len(text) <= _MOST else f"{text[:_MOST]}… ({len(text):,} characters)"


def _is_nothing(text: str) -> bool:
    if len(text) > len("null"):
        return False
    try:
        return json.loads(text) is None
    except ValueError:
        return False
