"""What `delay()` says when a task cannot be sent: the same error classes, and what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.exceptions import EncodeError, OperationalError

from celeriac.broker.payload import MessageTooLarge


@contextmanager
def explained(task_name: str, producer: Any) -> Iterator[None]:
    """Raise kombu's EncodeError and OperationalError with the task, the cause and the cure."""
    try:
        yield
    except MessageTooLarge:
        raise
    except EncodeError as error:
        raise EncodeError(
            f"Task {task_name} cannot be sent: {error}. Give it text, numbers, lists and dicts; "
            "instead of a model instance its primary key."
        ) from error
    except OperationalError as error:
        raise OperationalError(
            f"Task {task_name} was not sent: the broker {producer.connection.as_uri()} cannot be reached "
            f"({error}). Start it, or correct CELERY_BROKER_URL."
        ) from error
