"""Publishing many signatures in a handful of statements.

Signatures of one task without options differ in their arguments alone: for those even the way to `send_task`
is left out, as far as all of it is Celery's own.
"""

import gc
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery import Task
from celery.canvas import Signature
from django.db import connections

from celeriac.publisher import blocks, short_way
from celeriac.publisher.blocks import Block, bulk
from celeriac.publisher.celerys_own import is_own
from celeriac.publisher.short_way import Known
from celeriac.publisher.template import Call, Moment, moment_of, new_id

#: Tasks that have the same time of publish: the clock and its formats took a tenth of the time.
_SAME_MOMENT = 50


def publish_many(signatures: Iterable[Any]) -> list[Any]:
    """Publish all signatures together and return their results in order; an error publishes none of them.

    The same as `apply_async()` of each within `bulk()`.
    """
    with bulk():
        publish = _Many().publish
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

    def __init__(self) -> None:
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
        if (found := _Run.after(signature)) is not None:
            self._runs[key] = found
        return result


@dataclass(slots=True)
class _Run:
    """Calls of one task that differ in nothing but their arguments."""

    task: Task
    known: Known
    block: Block
    parent: Any
    ids: tuple[str | None, str | None]
    moment: Moment
    backend: Any
    result_class: Any
    left: int = _SAME_MOMENT

    @classmethod
    def after(cls, signature: Signature) -> "_Run | None":
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
        ids = asked.call.root_id, asked.call.parent_id
        moment = moment_of(connections[known.alias])
        return cls(task, known, block, asked.parent, ids, moment, task.backend, app.AsyncResult)

    def publish(self, args: Any, kwargs: Any) -> Any:
        """Publish one, and return its result; None: this one has to go the whole way."""
        if type(args) not in (tuple, list) or type(kwargs) is not dict or not self._goes_on():
            return None
        if self.task.typing:
            self.task.__header__(*args, **kwargs)
        call = Call(new_id(), args, kwargs, None, None, *self.ids)
        assert self.known.template is not None  # `after` saw to it.
        if not self.known.template.fill(self.block, call, self.moment):
            return None
        result = self.result_class(call.task_id, backend=self.backend, task_name=self.task.name)
        result.ignored = self.known.is_ignored
        if self.parent is not None:
            self.parent.add_trail(result)
        return result

    def _goes_on(self) -> bool:
        self.left -= 1
        if self.left > 0:
            return True
        self.left = _SAME_MOMENT
        alias = self.known.alias
        self.moment = moment_of(connections[alias])
        collected = blocks.current()
        is_same_block = collected is not None and collected.block(alias) is self.block
        return is_same_block and time.monotonic() < self.known.until


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
