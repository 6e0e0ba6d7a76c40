"""What stands in the cells of tables: short for people at a terminal, whole and plain in a pipe."""

import re
from datetime import datetime

from django.utils import timezone

from celeriac.cli import output
from celeriac.selectors.readable import in_words

NOTHING = "-"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SHORT_ID = 8
_LONGEST_TEXT = 60


def text(value: str | None) -> str:
    """A text; a long one is cut at a terminal."""
    if not value:
        return NOTHING
    if output.is_for_people() and len(value) > _LONGEST_TEXT:
        return f"{value[: _LONGEST_TEXT - 1]}…"
    return value


def number(value: int | None) -> str:
    """A number; `-` for one that is not known."""
    if value is None:
        return NOTHING
    return f"{value:,}" if output.is_for_people() else str(value)


def counted(count: int, thing: str) -> str:
    """`1 task`, `1,200 tasks`, for a question."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def task_id(value: str) -> str:
    """An id; the beginning of a UUID is enough for people, and for commands."""
    return value[:_SHORT_ID] if output.is_for_people() and _UUID.fullmatch(value) else value


def span(seconds: float | None) -> str:
    """A length of time; in a pipe seconds."""
    if seconds is None:
        return NOTHING
    return in_words(seconds) if output.is_for_people() else f"{seconds:.3f}"


def since(moment: datetime | None) -> str:
    """How long ago; in a pipe the moment itself."""
    if moment is None:
        return NOTHING
    if not output.is_for_people():
        return moment.isoformat()
    seconds = (timezone.now() - moment).total_seconds()
    return f"{in_words(seconds)} ago" if seconds >= 0 else f"in {in_words(-seconds)}"
