"""Pages that only look: in no transaction of the request, where ATOMIC_REQUESTS begins one."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connections, transaction

View = TypeVar("View", bound=Callable[..., Any])


def outside_of_transactions(view: View) -> View:
    """Let the view begin in none, on every database.

    In one it would wait for SQLite's writer, and one question that fails would end all that follow.
    """
    for alias in connections.settings:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view
