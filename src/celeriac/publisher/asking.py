"""One call of `send_task`, taken apart: what is the same for many calls, and what is this one's own."""

from dataclasses import dataclass
from typing import Any

from celery import Celery

from celeriac.publisher.recording import LONGEST_ID, alias_of
from celeriac.publisher.template import Call, new_id

#: Options that say the same for many calls. With one of another name the call goes Celery's way.
_SAME = frozenset(
    {
        "queue",
        "routing_key",
        "exchange",
        "priority",
        "serializer",
        "compression",
        "delivery_mode",
        "immediate",
        "mandatory",
        "time_limit",
        "soft_time_limit",
        "ignore_result",
        "shadow",
        "route_name",
    }
)
_OWN = frozenset(
    {
        "task_id",
        "group_id",
        "group_index",
        "root_id",
        "parent_id",
        "result_cls",
        "task_type",
        "add_to_parent",
        "producer",
        "argsrepr",
        "kwargsrepr",
    }
)
_HASHABLE = frozenset({str, int, bool, float})


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that may be like another one."""

    key: tuple[Any, ...]
    call: Call
    options: dict[str, Any]
    parent: Any

    @classmethod
    def of(cls, app: Celery, name: str, args: Any, kwargs: Any, options: dict[str, Any]) -> "Asked | None":
        """The call taken apart; None: it is unlike any other."""
        args, kwargs = args or (), kwargs or {}
        if type(args) not in (tuple, list) or type(kwargs) is not dict:
            return None
        same: list[Any] = [name, options.get("task_type")]
        for key, value in options.items():
            if value is None or key in _OWN:
                continue
            if key not in _SAME or type(value) not in _HASHABLE:
                return None
            # The type too: 1 and True are equal, and are not the same in a message.
            same += (key, value, type(value))
        parent, get = app.current_worker_task, options.get
        task_id, root_id, parent_id = get("task_id") or new_id(), get("root_id"), get("parent_id")
        if parent is not None:
            if parent.request.id == task_id or app.conf.task_inherit_parent_priority:
                return None
            root_id = root_id or parent.request.root_id or parent.request.id
            parent_id = parent_id or parent.request.id
        reprs = get("argsrepr"), get("kwargsrepr")
        call = Call(task_id, args, kwargs, get("group_id"), get("group_index"), root_id, parent_id, *reprs)
        return cls(tuple(same), call, options, parent) if _is_storable(call) else None

    def may_go_to(self, alias: str) -> bool:
        """Whether the producer that was given, if one was, publishes to this database."""
        producer = self.options.get("producer")
        return producer is None or alias_of(producer) == alias

    def result(self, app: Celery, is_ignored: Any) -> Any:
        """What `send_task` returns."""
        result = (self.options.get("result_cls") or app.AsyncResult)(self.call.task_id)
        result.ignored = is_ignored
        if self.parent is not None and self.options.get("add_to_parent", True):
            self.parent.add_trail(result)
        return result


def _is_storable(call: Call) -> bool:
    ids = (call.task_id, call.root_id, call.parent_id, call.group_id)
    return all(map(_is_storable_id, ids)) and (call.group_index is None or type(call.group_index) is int)


def _is_storable_id(value: Any) -> bool:
    return value is None or (
        type(value) is str and len(value) <= LONGEST_ID and value.isascii() and "\x00" not in value
    )
