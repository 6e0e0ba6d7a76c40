"""Writing text into columns of MySQL and MariaDB that are older than their full Unicode.

Tables that were made with `utf8mb3`, for many years these servers' `utf8`, refuse each character above
U+FFFF. A traceback with one of them must not change how a task ends.
"""

import re
from collections.abc import Sequence
from typing import Any

from django.db import DatabaseError

from celeriac.database import failures

_ABOVE = re.compile("[\U00010000-\U0010ffff]")


def execute(cursor: Any, statement: str, values: Sequence[Any]) -> None:
    """Execute it; where the table cannot hold a character, with U+FFFD in its place."""
    try:
        cursor.execute(statement, values)
    except DatabaseError as error:
        # The server has undone this statement alone: the transaction goes on.
        if not failures.is_wrong_text(error):
            raise
        cursor.execute(statement, [_narrow(value) for value in values])


def _narrow(value: Any) -> Any:
    return _ABOVE.sub("\ufffd", value) if isinstance(value, str) else value
