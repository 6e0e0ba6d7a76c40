"""The seam through which Celery publishes every task: message, PENDING row and record, all or none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from celery import Celery
from django.db import DatabaseError, connections
from django.utils.dateparse import parse_datetime
from django_celery_results.models import TaskResult

from celeriac import after_task
from celeriac.broker import compression, payload
from celeriac.broker.collecting import collecting
from celeriac.broker.confirming import confirming
from celeriac.broker.explaining import explained
from celeriac.broker.transport import Transport
from celeriac.database import failures
from celeriac.errors import TablesMissing
from celeriac.models import LONG_NAME_LENGTH, TaskRecord, lengths
from celeriac.publisher import blocks, outbox
from celeriac.publisher.blocks import Block
from celeriac.results.pending import Published, record_publish

Send = Callable[..., Any]

#: Options of a publish that name something in a table or at a broker.
_NAMED = ("queue", "exchange", "routing_key")

#: A project may have set it, for MySQL's older indexes: DJANGO_CELERY_RESULTS_TASK_ID_MAX_LENGTH.
LONGEST_ID = min(
    int(model._meta.get_field("task_id").max_length or 255) for model in (TaskResult, TaskRecord)
)


def recording(app: Celery, send: Send) -> Send:
    """The sender that also writes the PENDING row and the record, as this app's settings say.

    Not the current app's: that is the one that this thread made last, in a project with several.
    """

    def send_task_message(producer: Any, name: str, message: Any, **options: Any) -> Any:
        _refuse_unstorable(_task_id(message))
        # They are in the headers by now, and Celery would make properties of them too.
        options.pop("argsrepr", None), options.pop("kwargsrepr", None)
        _refuse_names(name, options)
        alias = alias_of(producer)
        if alias is not None:
            compression.check(options.get("compression") or app.conf.task_compression)
        to = _to_other_broker if alias is None else partial(_to_database, alias)
        if alias is None and (alias := outbox.alias_for(app)) is not None:
            to = partial(_to_outbox, alias)
        if alias is not None and after_task.must_wait(alias, _task_id(message)):
            after_task.wait(partial(_send_anew, app, send, name, message, options))
            return None
        with explained(name, producer):
            return to(app, send, producer, name, message, options)

    return send_task_message


def _to_database(
    alias: str, app: Celery, send: Send, producer: Any, name: str, message: Any, options: Any
) -> Any:
    def into(block: Block) -> Any:
        with collecting(block.messages):
            return send(producer, name, message, **options)

    return _together(alias, app, into, producer, name, message, options)


def _to_outbox(
    alias: str, app: Celery, send: Send, producer: Any, name: str, message: Any, options: Any
) -> Any:
    def into(block: Block) -> Any:
        task = _queue_of(options), _task_id(message), name
        return send(block.into_outbox().producer(app, task, producer), name, message, **options)

    return _together(alias, app, into, producer, name, message, options)


def _together(
    alias: str,
    app: Celery,
    send_into: Callable[[Block], Any],
    producer: Any,
    name: str,
    message: Any,
    options: Any,
) -> Any:
    """Publish into a block of this database, and write that if it is not collected."""
    bulk = blocks.current()
    collected = bulk.block(alias) if bulk is not None else None
    block = Block(alias) if collected is None else collected
    before = block.sizes()
    try:
        sent = send_into(block)
        # Read afterwards: what `before_task_publish` added belongs to the exact message.
        block.add(connections[alias], app.backend, _published(name, message, options))
        block.show(before)
    except BaseException:
        # Who catches this within a bulk block has not published it.
        block.take_back(before)
        raise
    if collected is None:
        with tables_named(alias):
            block.write(producer)
    return sent


def _to_other_broker(app: Celery, send: Send, producer: Any, name: str, message: Any, options: Any) -> Any:
    _refuse_too_large(message)
    bulk = blocks.current()
    if bulk is not None and bulk.has_all:
        sent = send(bulk.held.producer(app, name, producer), name, message, **options)
        bulk.add(app.backend, _published(name, message, options))
        return sent
    with confirming(producer):
        sent = send(producer, name, message, **options)
    with tables_named("default"):
        record_publish(app.backend, None, _published(name, message, options))
    return sent


def _send_anew(app: Celery, send: Send, name: str, message: Any, options: Any) -> None:
    """Publish with a producer of its own: the one of the call has gone back to its pool."""
    with app.producer_or_acquire() as producer:
        recording(app, send)(producer, name, message, **options)


def _task_id(message: Any) -> str:
    """The id; task protocol 1 has it in the properties alone."""
    return str(message.headers.get("id") or message.properties.get("correlation_id"))


def _refuse_unstorable(task_id: str) -> None:
    if len(task_id) > LONGEST_ID or "\x00" in task_id:
        raise ValueError(
            f"A task_id is text of at most {LONGEST_ID} characters without NUL, not {task_id[:20]!r}…"
        )


def _refuse_names(task_name: str, options: Any) -> None:
    lengths.check("task", task_name, LONG_NAME_LENGTH)
    for kind in _NAMED:
        if options.get(kind):
            lengths.check(kind.replace("_", " "), _name_of(options[kind]))


def _refuse_too_large(message: Any) -> None:
    """RabbitMQ closes the channel and Redis takes it: the limit is ours on every broker."""
    try:
        _encoded(message, {})
    except (TypeError, ValueError):
        pass  # Another serializer may take what JSON cannot; its own size is the broker's affair.


def _encoded(message: Any, route: dict[str, str]) -> str:
    headers, properties, body, _ = message
    return payload.encode({"body": body, "headers": headers, "properties": properties, "route": route})


def _exact(message: Any, options: Any) -> str:
    """The message with its route, for sending it again; empty when JSON cannot hold its arguments."""
    keys = ("queue", "exchange", "routing_key", "serializer", "compression", "delivery_mode")
    route = {key: _name_of(options[key]) for key in keys if options.get(key) is not None}
    try:
        return _encoded(message, route)
    except (TypeError, ValueError):
        return ""


def _queue_of(options: Any) -> str:
    return _name_of(options.get("queue") or options.get("routing_key") or "")


def _name_of(entity: Any) -> str:
    """Celery's router gives a queue or an exchange as kombu's own object."""
    return str(getattr(entity, "name", entity))


def _published(name: str, message: Any, options: Any) -> Published:
    headers = message.headers
    return Published(
        task_id=_task_id(message),
        name=name,
        args_repr=headers.get("argsrepr"),
        kwargs_repr=headers.get("kwargsrepr"),
        queue=_queue_of(options),
        priority=options.get("priority"),
        eta=parse_datetime(headers["eta"]) if headers.get("eta") else None,
        expires=parse_datetime(headers["expires"]) if headers.get("expires") else None,
        parent_id=headers.get("parent_id"),
        root_id=headers.get("root_id"),
        group_id=headers.get("group"),
        ignore_result=bool(headers.get("ignore_result")),
        message=_exact(message, options),
    )


@contextmanager
def tables_named(alias: str) -> Iterator[None]:
    """Raise TablesMissing where the tables of results are not there."""
    try:
        yield
    except DatabaseError as error:
        if failures.is_missing_table(error):
            raise TablesMissing(failures.tables_missing(alias)) from error
        raise


def alias_of(producer: Any) -> str | None:
    """The database of the broker; None for RabbitMQ, Redis and the others."""
    transport = producer.connection.transport if producer.connection else None
    return transport.alias if isinstance(transport, Transport) else None
