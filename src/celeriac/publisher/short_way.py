"""Celery's `send_task` in a shorter way, for calls that are like one that Celery has published a moment ago.

Routes, queues, declarations, serializers, settings: what Celery and kombu find out again for each call of a
task with the same options is learnt from one call, and learnt anew every second. Wherever somebody else has
a part in a publish (a receiver of its signals, a router, a class of the project's own), the call goes
Celery's way.
"""

import os
import threading
import time
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from celery import Celery, signals
from django.core.signals import setting_changed
from django.db import connections

from celeriac import sensitive
from celeriac.publisher import blocks, template
from celeriac.publisher.asking import Asked
from celeriac.publisher.blocks import Block
from celeriac.publisher.celerys_own import is_all_celerys
from celeriac.publisher.recording import tables_named
from celeriac.publisher.template import Call, Template

#: As long as a routing table may be out of date.
_LASTS_SECONDS = 1.0
_MOST_KNOWN = 256
_SIGNALS = (signals.before_task_publish, signals.after_task_publish, signals.task_sent)
_all: WeakSet["ShortWay"] = WeakSet()


@dataclass(frozen=True, slots=True)
class Known:
    """What one call has taught."""

    #: None: calls like that one go Celery's way.
    template: Template | None
    alias: str
    is_ignored: Any
    until: float
    circumstances: tuple[Any, ...]

    def holds(self, app: Celery) -> bool:
        return time.monotonic() < self.until and self.circumstances == _circumstances(app)


class ShortWay:
    """One per app; what was learnt is each thread's own."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._rules = sensitive.rules_of(app)
        self._learnt = threading.local()
        _all.add(self)

    def forget(self) -> None:
        """Learn everything anew: the settings have changed, or this is another process."""
        self._learnt = threading.local()

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
        """Celery's `send_task`: the same message, rows and result, or the same error."""
        if (hidden := self._rules.reprs(name, args, kwargs)) is not None:
            options = {"argsrepr": hidden[0], "kwargsrepr": hidden[1], **options}
        if rest or any(signal.receivers for signal in _SIGNALS):
            return self._celerys(name, args, kwargs, *rest, **options)
        asked = Asked.of(self._app, name, args, kwargs, options)
        self._learnt.latest = None
        if asked is None:
            return self._celerys(name, args, kwargs, **options)
        known = self._known().get(asked.key)
        if known is None or not known.holds(self._app):
            return self._learn(asked, name, args, kwargs, options)
        if known.template is None or not _publish(known, known.template, asked):
            return self._celerys(name, args, kwargs, **options)
        self._learnt.latest = asked, known
        return asked.result(self._app, known.is_ignored)

    def latest(self) -> tuple[Asked, Known] | None:
        """The last call of this thread and what it is known by, if it went the short way."""
        found: tuple[Asked, Known] | None = getattr(self._learnt, "latest", None)
        return found

    def _known(self) -> dict[tuple[Any, ...], Known]:
        known: dict[tuple[Any, ...], Known] = self._learnt.__dict__.setdefault("known", {})
        return known

    def _celerys(self, name: str, *args: Any, **options: Any) -> Any:
        return type(self._app).send_task(self._app, name, *args, **options)

    def _learn(self, asked: Asked, name: str, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
        # The id and the parents are those that the message will have.
        options = {**options, "task_id": asked.call.task_id}
        with blocks.watching() as seen:
            result = self._celerys(name, args, kwargs, **options)
        alias, learnt = seen[0].alias if seen else "", None
        if len(seen) == 1 and is_all_celerys(self._app):
            learnt = _template(self._app, asked.call, seen[0])
        known = self._known()
        if len(known) >= _MOST_KNOWN:
            known.clear()
        until = time.monotonic() + _LASTS_SECONDS
        known[asked.key] = Known(learnt, alias, result.ignored, until, _circumstances(self._app))
        return result


def of(app: Celery) -> ShortWay | None:
    """The short way of an app, if it is that way that its calls go."""
    found = getattr(app.send_task, "__self__", None)
    return found if isinstance(found, ShortWay) else None


def _publish(known: Known, learnt: Template, asked: Asked) -> bool:
    if not asked.may_go_to(known.alias):
        return False
    bulk = blocks.current()
    collected = bulk.block(known.alias) if bulk is not None else None
    block = Block(known.alias) if collected is None else collected
    if not block.has_rows:
        return False
    moment = template.moment_of(connections[known.alias])
    # Within a block the caller has the id before the row is written.
    is_secret = collected is None and not asked.options.get("task_id")
    if not learnt.fill(block, asked.call, moment, template.new_id(), is_secret=is_secret):
        return False
    if collected is None:
        with tables_named(known.alias):
            block.write()
    return True


def _template(app: Celery, call: Call, seen: blocks.Seen) -> Template | None:
    if len(seen.messages) != 1 or seen.has_others or len(seen.records) != 1:
        return None
    pending = seen.pending[0] if seen.pending else None
    levels = app.conf.get("task_repr_maxlevels")  # Celery >= 5.7
    return template.learn(call, seen.messages[0], seen.records[0], pending, repr_levels=levels)


def _circumstances(app: Celery) -> tuple[Any, ...]:
    """What is another one when the app was configured anew."""
    amqp, changes = app.amqp, app.conf.changes
    parts = (amqp, amqp.send_task_message, amqp.router, amqp._producer_pool, app.backend)
    return (*parts, tuple(changes), tuple(changes.values()))


def _forget_all(**_: Any) -> None:
    for each in list(_all):
        each.forget()


setting_changed.connect(_forget_all, dispatch_uid="celeriac.short_way")
if hasattr(os, "register_at_fork"):
    # The origin of a message is its process.
    os.register_at_fork(after_in_child=_forget_all)
