"""Publishing many signatures in a handful of statements.

Signatures of one task without options differ in their arguments alone: for those even the way to `send_task`
is left out, as far as all of it is Celery's own.
"""

import gc
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from celery import Task
from celery.canvas import Signature
from django.db import connections

from celeriac.publisher import blocks, short_way
from celeriac.publisher.blocks import Block, bulk
from celeriac.publisher.celerys_own import is_own
from celeriac.publisher.short_way import Known
from celeriac.publisher.template import Call, Moment, moment_of, new_ids
from celeriac.sensitive import Rules, rules_of

#: Tasks that have the same time of publish, and ids that are made together: the clock and its formats took a
#: tenth of the time, and asking for randomness once for each id a twentieth.
_AT_ONCE = 50


def publish_many(signatures: Iterable[Any]) -> list[Any]:
    """Publish all signatures together and return their results in order; an error publishes none of them.

    The same as `apply_async()` of each within `bulk()`.
    """
    # Only within this call: a block around it lets the caller have the ids before the rows are written.
    are_secret = blocks.current() is None
    # What makes the signatures one by one may do anything in between, also begin a transaction or fork.
    at_once = _AT_ONCE if isinstance(signatures, list | tuple) else 1
    with bulk():
        publish = _Many(are_secret, at_once).publish
        with _without_garbage_collection():
            return [publish(signature) for signature in signatures]


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Make many objects that all stay: looking for dead ones among them took a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Many:
    """The runs of one call, by task."""

    def __init__(self, are_secret: bool, at_once: int) -> None:
        self._are_secret, self._at_once = are_secret, at_once
        self._runs: dict[tuple[str, int], _Run] = {}

    def publish(self, signature: Any) -> Any:
        """Publish it, the shortest way that there is."""
        if type(signature) is not Signature or signature["options"]:
            return signature.apply_async()
        key = (signature["task"], id(signature._app))
        run = self._runs.get(key)
        if run is not None and (result := run.publish(signature["args"], signature["kwargs"])) is not None:
            return result
        result = signature.apply_async()
        if (found := _Run.after(signature, self._are_secret, self._at_once)) is not None:
            self._runs[key] = found
        return result


@dataclass(slots=True)
class _Run:
    """Calls of one task that differ in nothing but their arguments."""

    task: Task
    known: Known
    block: Block
    parent: Any
    #: The ids of root and parent.
    family: tuple[str | None, str | None]
    moment: Moment
    backend: Any
    result_class: Any
    rules: Rules
    #: Whether nobody knows the ids before the rows are written.
    are_secret: bool
    #: How many tasks are published without another look at what is around them.
    at_once: int
    #: New ones, two for each task to come.
    ids: list[str] = field(default_factory=list)

    @classmethod
    def after(cls, signature: Signature, are_secret: bool, at_once: int) -> "_Run | None":
        """What the call that was just made can teach; None: each call has to go the whole way."""
        task = signature.type
        app = task.app
        way, collected = short_way.of(app), blocks.current()
        latest = way.latest() if way is not None and _is_celerys(task) else None
        if latest is None or collected is None:
            return None
        asked, known = latest
        block = collected.block(known.alias)
        if block is None or not block.has_rows or known.template is None:
            return None
        family = asked.call.root_id, asked.call.parent_id
        moment = moment_of(connections[known.alias])
        made_by = task.backend, app.AsyncResult, rules_of(app)
        return cls(task, known, block, asked.parent, family, moment, *made_by, are_secret, at_once)

    def publish(self, args: Any, kwargs: Any) -> Any:
        """Publish one, and return its result; None: this one has to go the whole way."""
        if type(args) not in (tuple, list) or type(kwargs) is not dict or not self._goes_on():
            return None
        if self.task.typing:
            self.task.__header__(*args, **kwargs)
        hidden = self.rules.reprs(self.task.name, args, kwargs) or (None, None)
        call = Call(self.ids.pop(), args, kwargs, None, None, *self.family, *hidden)
        template, tag = self.known.template, self.ids.pop()
        assert template is not None  # `after` saw to it.
        if not template.fill(self.block, call, self.moment, tag, is_secret=self.are_secret):
            return None
        result = self.result_class(call.task_id, backend=self.backend, task_name=self.task.name)
        result.ignored = self.known.is_ignored
        if self.parent is not None:
            self.parent.add_trail(result)
        return result

    def _goes_on(self) -> bool:
        if self.ids:
            return True
        alias, collected = self.known.alias, blocks.current()
        is_same_block = collected is not None and collected.block(alias) is self.block
        if not is_same_block or time.monotonic() >= self.known.until:
            return False
        self.moment = moment_of(connections[alias])
        self.ids = new_ids(2 * self.at_once)
        return True


def _is_celerys(task: Task) -> bool:
    kind, own = type(task), "celery/app/task.py"
    return (
        is_own(Signature, "apply_async", "celery/canvas.py")
        and all(is_own(kind, name, own) for name in ("apply_async", "shadow_name", "AsyncResult"))
        and not {"apply_async", "shadow_name", "AsyncResult"} & vars(task).keys()
        and not getattr(kind, "__v2_compat__", False)
        and getattr(task, "_dump_pydantic_arguments", None) is None
        and not task.app.conf.task_always_eager
        and (not task.typing or hasattr(task, "__header__"))
    )
