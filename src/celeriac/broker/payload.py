"""A kombu message as text, and the columns that the store reads out of it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from kombu.utils.json import JSONEncoder, dumps, loads

from celeriac.broker import clock, nesting
from celeriac.broker.queries.base import NewMessage
from celeriac.broker.queries.routing import NewCopy
from celeriac.broker.refusal import MessageTooDeep, MessageTooLarge
from celeriac.conf import options
from celeriac.models import MessageState

MAX_PRIORITY = 9
#: How kombu writes a value that JSON has no word for.
_MARK = '"__type__"'


def encode(message: Mapping[str, Any]) -> str:
    """The message as JSON text. Raises MessageTooLarge and MessageTooDeep."""
    text, headers = str(dumps(message)), message.get("headers") or {}
    check_size(len(text), headers)
    # Few have so many brackets in all; of those that have, the body is a text within the text.
    if nesting.is_too_deep(text, nesting.MOST_LEVELS + 1) or (
        isinstance(message.get("body"), str)
        and _is_json(message.get("content-type"))
        and nesting.is_too_deep(message["body"])
    ):
        raise too_deep(headers.get("task"))
    return text


def too_deep(task_name: object) -> MessageTooDeep:
    """The error for a message of this task."""
    return MessageTooDeep(
        f"The message of {task_name or 'the caller'} is nested deeper than {nesting.MOST_LEVELS} levels. "
        "Store the data and pass its key."
    )


def _is_json(content_type: object) -> bool:
    return content_type in (None, "application/json")


def encoder() -> Callable[[Any], str]:
    """What kombu's `json` makes of a value, without making an encoder for each."""
    encode: Callable[[Any], str] = JSONEncoder().encode
    return encode


def check_size(size: int, headers: Mapping[str, Any]) -> None:
    """Raise MessageTooLarge for a message of so many bytes."""
    limit = options().max_message_bytes
    if size > limit:
        raise MessageTooLarge(
            f"The message of {headers.get('task') or 'the caller'} has {size:,} bytes, more than {limit:,}. "
            "Store the data and pass its key, or raise CELERIAC['MAX_MESSAGE_BYTES']."
        )


def decode(text: str) -> dict[str, Any]:
    """The message behind the text that `encode` made."""
    # kombu asks Python about every object in it, whether it stands for a date or the like: most have none.
    message: dict[str, Any] = loads(text) if _MARK in text else json.loads(text)
    return message


def new_message(queue: str, message: Mapping[str, Any], message_ttl: int | None) -> NewMessage:
    """What the store keeps of a message for `queue`; `message_ttl` is the queue's, in milliseconds."""
    headers, properties = message.get("headers") or {}, message.get("properties") or {}
    now = clock.now()
    available_at = _moment(headers.get("eta")) or now
    # A task that expires reaches a worker all the same: Celery makes it REVOKED and says so.
    lives = {} if headers.get("expires") else properties
    return NewMessage(
        queue=queue,
        turn=turn(properties),
        state=MessageState.DELAYED if available_at > now else MessageState.READY,
        available_at=available_at,
        expires_at=expires_at(now, lives, message_ttl),
        published_at=now,
        # Task protocol 1 has the id in the properties alone.
        task_id=_text(headers.get("id") or properties.get("correlation_id")),
        task_name=_text(headers.get("task")),
        payload=encode(message),
    )


def new_copy(message: Mapping[str, Any], lifetime: float) -> NewCopy:
    """What a transient queue keeps of a message, for `lifetime` seconds at the longest."""
    properties = message.get("properties") or {}
    ends = expires_at(clock.now(), properties, int(lifetime * 1000))
    assert ends is not None  # `lifetime` is one of the lives.
    return NewCopy(turn(properties), encode(message), ends)


def turn(properties: Mapping[str, Any]) -> int:
    """The lower, the sooner: priorities go from 0 to 9, the highest first, as on RabbitMQ."""
    try:
        return MAX_PRIORITY - max(0, min(MAX_PRIORITY, int(properties.get("priority") or 0)))
    except (TypeError, ValueError):
        return MAX_PRIORITY


def expires_at(now: int, properties: Mapping[str, Any], message_ttl: int | None) -> int | None:
    """When its life ends: kombu writes `expiration` as milliseconds in a string; the shorter life counts."""
    lives = [int(str(life)) for life in (properties.get("expiration"), message_ttl) if life not in (None, "")]
    return now + min(lives) * 1000 if lives else None


def _moment(eta: object) -> int | None:
    if not eta:
        return None
    try:
        return clock.parse(str(eta))
    except ValueError:
        # Celery's worker refuses such a message by its own rules; it must reach it for that.
        return None


def _text(value: object) -> str | None:
    """For a column beside the exact message, which a consumer refuses for a name that no column can hold."""
    if value is None:
        return None
    text = str(value)[:255]
    if not text.isascii() or "\x00" in text:
        text = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return text
