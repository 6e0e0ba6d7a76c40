"""Whether a worker can make a task of a message, found out before Celery tries.

Celery's consumer ends the worker where a header has another type than it expects, and acknowledges what it
cannot decode. What is found here is a reason for people.
"""

from collections.abc import Container
from typing import Any

from celeriac.broker import nesting
from celeriac.conf import options
from celeriac.models import LONG_NAME_LENGTH, lengths
from celeriac.publisher.recording import LONGEST_ID


def fault_of(message: Any, known_tasks: Container[str]) -> str | None:
    """Why no worker will run it, or None. What nobody here knows may be fit for others."""
    headers = message.headers
    if type(headers) is not dict:
        return f"its headers are no mapping but {type(headers).__name__}"
    name, task_id, body = headers.get("task"), headers.get("id"), message.body
    is_known = type(name) is str and name in known_tasks
    # Nearly every message is one of these, and needs no other look at its names.
    if name is not None and not (is_known and _is_plain(task_id)):
        fault = _named(name, task_id)
        if fault is not None:
            return fault
    limit = options().max_message_bytes
    if len(body or b"") > limit and "compression" not in headers:
        return f"its body has {len(body):,} bytes, more than {limit:,}: see CELERIAC['MAX_MESSAGE_BYTES']"
    # Of another type, as pickle, brackets are bytes like any other.
    if _may_be_json(message.content_type) and nesting.is_too_deep(body):
        return f"its body is nested deeper than {nesting.MOST_LEVELS} levels"
    if name is None:
        return None
    return _unusable(headers) or (_fault_of_arguments(message) if is_known else None)


def _may_be_json(content_type: object) -> bool:
    """Also a type of the project's own."""
    return content_type is None or "json" in str(content_type)


def _is_plain(task_id: object) -> bool:
    return type(task_id) is str and len(task_id) <= LONGEST_ID and task_id.isascii() and task_id.isprintable()


def task_id_of(message: Any) -> str | None:
    """The id, where it is one that a row can have."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    properties = message.properties if isinstance(message.properties, dict) else {}
    # Task protocol 1 has it in the properties alone.
    for found in (headers.get("id"), properties.get("correlation_id")):
        if found and lengths.fault_of(found, LONGEST_ID) is None:
            return str(found)
    return None


def task_name_of(message: Any) -> str | None:
    """The task's name, where it is one that a row can have."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    name = headers.get("task")
    return str(name) if name and lengths.fault_of(name, LONG_NAME_LENGTH) is None else None


def _named(name: object, task_id: object) -> str | None:
    for kind, value, longest in (("task", name, LONG_NAME_LENGTH), ("id", task_id, LONGEST_ID)):
        fault = lengths.fault_of(value, longest)
        if fault is not None:
            return f"its {kind} {fault}"
    return None


def _unusable(headers: dict[str, Any]) -> str | None:
    """A header that Celery uses in the worker's main process, and takes for what it should be."""
    get = headers.get
    for name, kind in _KINDS:
        value = get(name)
        if value is not None and type(value) is not kind and type(value) is not _OTHER_KINDS.get(name):
            return f"its header {name} is {type(value).__name__}"
    stamped = headers.get("stamped_headers")
    if stamped and not all(type(each) is str and each in (headers.get("stamps") or {}) for each in stamped):
        return "its stamped headers are not those of its stamps"
    limits = headers.get("timelimit")
    if limits is not None and (len(limits) != 2 or not all(type(each) in _LIMITS for each in limits)):
        return "its time limits are no two numbers"
    return None


_KINDS: tuple[tuple[str, type], ...] = (
    ("argsrepr", str),
    ("group", str),
    ("group_index", int),
    ("ignore_result", bool),
    ("kwargsrepr", str),
    ("parent_id", str),
    ("replaced_task_nesting", int),
    ("retries", int),
    ("root_id", str),
    ("shadow", str),
    ("stamped_headers", list),
    ("stamps", dict),
    ("timelimit", list),
)
#: As pickled messages and other clients have them.
_OTHER_KINDS = {"ignore_result": int, "stamped_headers": tuple, "timelimit": tuple}
_LIMITS = (int, float, type(None))


def _fault_of_arguments(message: Any) -> str | None:
    """Whether the body is what a task is called with. Celery asks for it next; it is decoded once."""
    try:
        content = message.payload
    except Exception as error:  # noqa: BLE001 - each serializer has errors of its own
        return str(error) or repr(error)
    if isinstance(content, dict):
        return None  # Celery has words of its own about the older protocols.
    try:
        args, kwargs, embedded = content
    except (TypeError, ValueError):
        return "its body is no list of arguments, keyword arguments and what follows"
    if not isinstance(args, list | tuple) or not isinstance(kwargs, dict):
        return "its arguments are no list and no mapping"
    return None if embedded is None or isinstance(embedded, dict) else "what follows it is no mapping"
