"""What `delay()` and commands say when a task cannot be sent or nobody answers, and what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.exceptions import EncodeError, OperationalError, SerializerNotInstalled
from kombu.serialization import registry

from celeriac.broker.errors import BrokerConnectionLost
from celeriac.broker.payload import too_deep
from celeriac.broker.refusal import MessageRefused
from celeriac.database import failures
from celeriac.errors import CeleriacError, Unreachable

#: The packages that speak to brokers.
_CLIENTS = frozenset({"amqp", "redis"})


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
            f"({str(error).rstrip('.')}). Start it, or correct CELERY_BROKER_URL."
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
            why = text.rstrip(".")
            text = f"The broker {uri} cannot be reached: {why}. Start it, or correct CELERY_BROKER_URL."
        raise Unreachable(text) from error
    except SerializerNotInstalled as error:
        raise CeleriacError(f"{error}. Install it, or name another serializer.") from error
    except Exception as error:
        # A wrong password, a vhost that is not there: kombu hands them on as their client has them.
        if type(error).__module__.partition(".")[0] not in _CLIENTS:
            raise
        uri, why = app.connection_for_write().as_uri(), failures.first_line(error).rstrip(".")
        raise Unreachable(f"The broker {uri} refuses: {why}. Correct CELERY_BROKER_URL.") from error


def check_serializer(app: Any, name: str | None) -> None:
    """Raise CeleriacError for one that no worker reads: its message would be a dead letter."""
    accepted = [str(each) for each in app.conf.accept_content]
    kind = registry.name_to_type.get(name)
    if kind is not None and not {name, kind} & set(accepted):
        raise CeleriacError(f"No worker reads {name!r}: CELERY_ACCEPT_CONTENT has {', '.join(accepted)}.")
