"""What `delay()` and commands say when a task cannot be sent or nobody answers, and what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.exceptions import EncodeError, OperationalError, SerializerNotInstalled

from celeriac.broker.errors import BrokerConnectionLost
from celeriac.broker.payload import too_deep
from celeriac.broker.refusal import MessageRefused
from celeriac.database import failures
from celeriac.errors import CeleriacError, Unreachable


@contextmanager
def explained(task_name: str, producer: Any) -> Iterator[None]:
    """Raise kombu's EncodeError and OperationalError with the task, the cause and the cure."""
    try:
        yield
    except MessageRefused:
        raise
    except RecursionError as error:
        raise too_deep(f"task {task_name}") from error
    except EncodeError as error:
        if isinstance(error.args[0] if error.args else None, RecursionError):
            raise too_deep(f"task {task_name}") from error
        raise EncodeError(
            f"Task {task_name} cannot be sent: {error}. Give it text, numbers, lists and dicts; "
            "instead of a model instance its primary key."
        ) from error
    except OperationalError as error:
        raise OperationalError(
            f"Task {task_name} was not sent: the broker {producer.connection.as_uri()} cannot be reached "
            f"({error}). Start it, or correct CELERY_BROKER_URL."
        ) from error


@contextmanager
def in_one_line(app: Any) -> Iterator[None]:
    """Raise Unreachable where a command cannot reach the broker."""
    try:
        yield
    except OperationalError as error:
        text = failures.first_line(error)
        # Both of these have said it all: the transport, and `explained`.
        if not isinstance(error.__cause__, BrokerConnectionLost) and not text.startswith("Task "):
            uri = app.connection_for_write().as_uri()
            text = f"The broker {uri} cannot be reached: {text}. Start it, or correct CELERY_BROKER_URL."
        raise Unreachable(text) from error
    except SerializerNotInstalled as error:
        raise CeleriacError(f"{error}. Install it, or name another serializer.") from error
