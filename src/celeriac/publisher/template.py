"""What all calls of a task with the same options have in common, learnt from one that Celery published.

Filled with what differs it is the same text that Celery and kombu would have made, letter for letter. What
that cannot be promised for, `learn` and `fill` refuse, and the call goes Celery's way.
"""

import json
import os
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple

from celery.utils.saferepr import saferepr
from django.db.backends.base.base import BaseDatabaseWrapper as Connection
from django.utils import timezone

from celeriac.broker import clock, nesting, payload
from celeriac.broker.queries.base import NewMessage
from celeriac.conf import options
from celeriac.database.inserting import Row
from celeriac.models import MessageState
from celeriac.publisher.blocks import Block
from celeriac.results.publishing import stored_time

#: Headers that differ from call to call, in Celery's order.
_HEADERS = frozenset({"id", "group", "group_index", "root_id", "parent_id", "argsrepr", "kwargsrepr"})
_PROPERTIES = frozenset({"correlation_id", "delivery_tag"})
#: Celery's limit, of which its own `repr` knows; within the other one Python's says the same of plain values.
REPR_LIMIT = 1024
_PLAIN_LIMIT = 200
_MOST_PLAIN = 8
_READY = int(MessageState.READY)
_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
#: JSON's words for what is neither text nor number.
_WORDS = {True: "true", False: "false", None: "null"}
_dumps = payload.encoder()
_EMBEDDED = _dumps({"callbacks": None, "errbacks": None, "chain": None, "chord": None})


@dataclass(frozen=True, slots=True)
class Call:
    """What differs between two calls of a task."""

    task_id: str
    args: tuple[Any, ...] | list[Any]
    kwargs: dict[str, Any]
    group_id: str | None
    group_index: int | None
    root_id: str | None
    parent_id: str | None
    #: Where they are not those of the arguments: something of them is not to be shown.
    args_repr: str | None = None
    kwargs_repr: str | None = None


#: A time as the broker has it, and as the results' database wants it.
Moment = tuple[int, Any]


def moment_of(connection: Connection) -> Moment:
    """Now."""
    return clock.now(), stored_time(connection, timezone.now())


@dataclass(frozen=True, slots=True)
class Template:
    """The texts with places for what differs, and the columns that are always the same."""

    headers: str
    payload: str
    record: str
    name: str
    task_name: str | None
    queue: str
    turn: int
    priority: int | None
    #: Name, content type, encoding and state of the row in PENDING; None: there is no row.
    pending: tuple[str | None, str, str, str] | None
    repr_levels: int | None

    def fill(self, block: Block, call: Call, moment: Moment, delivery_tag: str, *, is_secret: bool) -> bool:
        """Add the task to the block; False: this call is beyond it, and nothing was added.

        `is_secret`: nobody knows its id before it is written, so nobody has made a row for it.
        """
        texts = self._texts(call, delivery_tag)
        if texts is None or len(texts.payload) > options().max_message_bytes:
            return False
        task_id, (now, at) = call.task_id, moment
        if not is_secret:
            block.may_exist.add(task_id)
        block.messages.messages.append(
            (self.queue, self.turn, _READY, now, None, now, task_id, self.task_name, texts.payload, 0)
        )
        if self.pending is not None:
            name, content_type, encoding, status = self.pending
            extended = (None, None) if name is None else (texts.args, texts.kwargs)
            block.pending.append((task_id, name, *extended, content_type, encoding, status, at, at))
        root_id, parent_id, group_id = call.root_id or task_id, call.parent_id, call.group_id
        known = (None, None, parent_id, root_id, group_id, at, 0, texts.record)
        block.records.append((task_id, self.name, self.queue, self.priority, *known))
        return True

    def _texts(self, call: Call, delivery_tag: str) -> "_Texts | None":
        are_plain = _is_plain(call.args)
        try:
            args = _plain_json(call.args) if are_plain else _dumps(call.args)
            kwargs = _dumps(call.kwargs) if call.kwargs else "{}"
        except Exception:  # noqa: BLE001 - Celery's way raises it again, with the right words
            return None
        task_id = encode_basestring_ascii(call.task_id)
        args_repr = encode_basestring_ascii(call.args_repr or self._repr(call.args, is_plain=are_plain))
        kwargs_repr = '"{}"'
        if call.kwargs_repr:
            kwargs_repr = encode_basestring_ascii(call.kwargs_repr)
        elif call.kwargs:
            kwargs_repr = encode_basestring_ascii(self._repr(call.kwargs, is_plain=_is_plain(call.kwargs)))
        headers = self.headers % (
            task_id,
            _text(call.group_id),
            "null" if call.group_index is None else call.group_index,
            encode_basestring_ascii(call.root_id) if call.root_id else task_id,
            _text(call.parent_id),
            args_repr,
            kwargs_repr,
        )
        body = f"[{args}, {kwargs}, {_EMBEDDED}]"
        if not (are_plain and kwargs == "{}") and nesting.is_too_deep(body):
            return None
        whole = self.payload % (encode_basestring_ascii(body), headers, task_id, delivery_tag)
        return _Texts(whole, self.record % (body, headers, task_id), args_repr, kwargs_repr)

    def _repr(self, value: Any, *, is_plain: bool) -> str:
        if is_plain and len(text := repr(value)) <= _PLAIN_LIMIT:
            return text
        levels = {} if self.repr_levels is None else {"maxlevels": self.repr_levels}
        return str(saferepr(value, REPR_LIMIT, **levels))


class _Texts(NamedTuple):
    payload: str
    record: str
    args: str
    kwargs: str


def learn(
    call: Call, message: Any, record: Row, pending: Row | None, *, repr_levels: int | None
) -> Template | None:
    """The template behind a task that was just published Celery's way; None: it has none."""
    if not isinstance(message, NewMessage) or not _is_due_and_lasting(message):
        return None
    exact, stored = json.loads(message.payload), json.loads(record[-1] or "{}")
    template = Template(
        headers=_with_places(exact["headers"], _HEADERS),
        payload=_outer(exact),
        record=_outer(stored),
        name=record[1],
        task_name=message.task_name,
        queue=message.queue,
        turn=message.turn,
        priority=record[3],
        pending=None if pending is None else (pending[1], *pending[4:7]),
        repr_levels=repr_levels,
    )
    try:
        texts = template._texts(call, exact["properties"]["delivery_tag"])
    except (TypeError, KeyError):
        return None  # It has other places.
    if texts is None or (texts.payload, texts.record) != (message.payload, record[-1]):
        return None
    if record[2] != message.queue or record[4:6] != (None, None):
        return None
    said = None if pending is None else pending[1:4]
    names = (None, None, None) if said is None or said[0] is None else (record[1], texts.args, texts.kwargs)
    return template if said in (None, names) else None


def _is_due_and_lasting(message: NewMessage) -> bool:
    is_due = message.state == _READY and message.available_at == message.published_at
    return is_due and message.expires_at is None


def _is_plain(value: Any) -> bool:
    """Whether Python's repr is Celery's: a few numbers and texts without quotes, and no containers."""
    if len(value) > _MOST_PLAIN:
        return False
    if type(value) is dict:
        return all(map(_is_plain_item, value)) and all(map(_is_plain_item, value.values()))
    return all(map(_is_plain_item, value))


def _is_plain_item(item: Any) -> bool:
    kind = type(item)
    if kind is str:
        return len(item) <= _PLAIN_LIMIT and item.isprintable() and "'" not in item and "\\" not in item
    return kind is int or kind is bool or item is None


def _plain_json(values: Any) -> str:
    """What `_dumps` makes of plain values in a row, without the encoder that it makes for each call."""
    return f"[{', '.join(map(_plain_item_json, values))}]"


def _plain_item_json(item: Any) -> str:
    kind = type(item)
    if kind is str:
        return encode_basestring_ascii(item)
    return str(item) if kind is int else _WORDS[item]


def _outer(message: dict[str, Any]) -> str:
    """Places for the body, the headers, and what differs in the properties."""
    properties = _with_places(message["properties"], _PROPERTIES).replace(
        '"delivery_tag": %s', '"delivery_tag": "%s"'
    )
    parts = {"body": "%s", "headers": "%s", "properties": properties}
    return (
        "{" + ", ".join(f'"{key}": {parts.get(key) or _fixed(each)}' for key, each in message.items()) + "}"
    )


def _with_places(values: dict[str, Any], places: frozenset[str]) -> str:
    parts = (f"{_fixed(key)}: {'%s' if key in places else _fixed(value)}" for key, value in values.items())
    return "{" + ", ".join(parts) + "}"


def _fixed(value: Any) -> str:
    return _dumps(value).replace("%", "%%")


def _text(value: str | None) -> str:
    return "null" if value is None else encode_basestring_ascii(value)


def new_id() -> str:
    """A UUID of version 4, as `uuid.uuid4` makes it, in a third of the time."""
    return _id(os.urandom(16).hex())


def new_ids(count: int) -> list[str]:
    """So many at once, in a third of that: to be used up before the process may fork."""
    text = os.urandom(16 * count).hex()
    return [_id(text[start : start + 32]) for start in range(0, 32 * count, 32)]


def _id(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANTS[text[16]]}{text[17:20]}-{text[20:]}"
