"""Which arguments of a task nobody may read, and their reprs without them.

A task says so (`@shared_task(sensitive=["password"])`), or the name of a parameter or of a key does, by
CELERIAC["SENSITIVE_KEYS"]. What is shown is made without them; the message itself stays exact.
"""

import inspect
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from celery import Celery
from celery.utils.saferepr import saferepr
from django.core.signals import setting_changed

from celeriac.sensitive.keys import HIDDEN, is_sensitive

logger = logging.getLogger(__name__)

#: Celery's own limit of a repr.
_REPR_LIMIT = 1024
#: A repr of so many characters shows no more values, nor deeper ones.
_MOST_ITEMS, _MOST_LEVELS = 2000, 8
#: A shorter text stands everywhere by chance.
_FEWEST_LETTERS = 4
_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
_all: "WeakSet[Rules]" = WeakSet()


@dataclass(frozen=True, slots=True)
class Rule:
    """Of one task type."""

    #: Parameters that are not shown.
    names: frozenset[str] = frozenset()
    #: Where they stand when they are given by position.
    positions: frozenset[int] = frozenset()
    #: From here on nothing by position is shown.
    rest_from: int | None = None
    #: Whether a call may have other keys than its parameters.
    has_other_keys: bool = True
    #: Rules of the tasks whose signatures are arguments.
    others: "Rules | None" = field(default=None, compare=False)

    def reprs(self, args: Any, kwargs: Any, app: Celery) -> tuple[str, str] | None:
        """The reprs of both without what is hidden; None: nothing is."""
        shown_args, shown_kwargs = self.shown(args, kwargs)
        if shown_args is args and shown_kwargs is kwargs:
            return None
        levels = app.conf.get("task_repr_maxlevels")  # Celery >= 5.7
        more = {} if levels is None else {"maxlevels": levels}
        return saferepr(shown_args, _REPR_LIMIT, **more), saferepr(shown_kwargs, _REPR_LIMIT, **more)

    def shown(self, args: Any, kwargs: Any, walk: "_Walk | None" = None) -> tuple[Any, Any]:
        """Both with HIDDEN in its place; the very same objects where nothing is hidden."""
        walk = walk or _Walk(self.others)
        values = [HIDDEN if self._hides(at) else walk.shown(value) for at, value in enumerate(args)]
        is_same = all(new is old for new, old in zip(values, args, strict=True))
        named = {key: HIDDEN if key in self.names else value for key, value in kwargs.items()}
        shown = walk.mapping(named, -1)
        is_same_mapping = all(shown[key] is value for key, value in kwargs.items())
        return args if is_same else _like(args, values), kwargs if is_same_mapping else shown

    def shown_of(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """As `shown`, of what may be none or no arguments at all."""
        is_usable = isinstance(args or (), list | tuple) and isinstance(kwargs or {}, Mapping)
        shown_args, shown_kwargs = self.shown(args or (), kwargs or {}) if is_usable else (HIDDEN, HIDDEN)
        return None if args is None else shown_args, None if kwargs is None else shown_kwargs

    def secrets(self, args: Any, kwargs: Any) -> list[str]:
        """The texts that are hidden, the longest first."""
        walk = _Walk(self.others)
        for at, value in enumerate(args or ()):
            (walk.note if self._hides(at) else walk.shown)(value)
        for key, value in (kwargs or {}).items():
            (walk.note if key in self.names else walk.shown)(value)
            if is_sensitive(key):
                walk.note(value)
        texts = {each for each in walk.noted if len(each) >= _FEWEST_LETTERS}
        # An error quotes them by `repr()` or as JSON, too, and so changes those that hold quotes or the like.
        texts |= {shown[1:-1] for each in texts for shown in _quoted(each)}
        return sorted(texts, key=len, reverse=True)

    def _hides(self, position: int) -> bool:
        return position in self.positions or (self.rest_from is not None and position >= self.rest_from)

    def may_hide(self, args: Any, kwargs: Any) -> bool:
        """False for nearly all calls, and at once: each call of every task asks."""
        if self.names or (kwargs and self.has_other_keys):
            return True
        if args and not _PLAIN.issuperset(map(type, args)):
            return True
        return bool(kwargs) and not _PLAIN.issuperset(map(type, kwargs.values()))


class Rules:
    """The rules of an app's tasks; one is made when its task is first called."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._known: dict[str, Rule] = {}
        self._of_unknown = Rule(others=self)
        _all.add(self)

    def of(self, task_name: str) -> Rule:
        """What to hide of a task's arguments; for a task of another project what the keys say."""
        rule = self._known.get(task_name)
        if rule is None:
            task = self._app.tasks.get(task_name)
            if task is None:
                return self._of_unknown
            rule = self._known[task_name] = _rule_of(task, self)
        return rule

    def reprs(self, task_name: str, args: Any, kwargs: Any) -> tuple[str, str] | None:
        """The reprs of a call's arguments where something of them is hidden."""
        rule = self._known.get(task_name) or self.of(task_name)
        if type(args) is tuple and not rule.may_hide(args, kwargs):
            return None
        args, kwargs = args or (), kwargs or {}
        if not isinstance(args, list | tuple) or not isinstance(kwargs, Mapping):
            return None  # Celery says what is wrong with them.
        return rule.reprs(args, kwargs, self._app)

    def forget(self) -> None:
        """The settings have changed."""
        self._known.clear()


def rules_of(app: Celery) -> Rules:
    """The rules of this app."""
    rules: Rules = vars(app).setdefault("celeriac_rules", None) or Rules(app)
    vars(app)["celeriac_rules"] = rules
    return rules


class _Walk:
    """Through the containers of one call, as far as a repr shows them."""

    def __init__(self, rules: Rules | None) -> None:
        self._rules = rules
        self._left = _MOST_ITEMS
        self.noted: list[str] = []

    def shown(self, value: Any, level: int = 0) -> Any:
        if type(value) in _PLAIN or level > _MOST_LEVELS or self._left <= 0:
            return value
        if isinstance(value, dict):
            return self.mapping(value, level)
        if isinstance(value, list | tuple):
            values = [self.shown(each, level + 1) for each in self._counted(value)]
            if all(new is old for new, old in zip(values, value, strict=False)):
                return value
            return _like(value, [*values, *value[len(values) :]])
        return value

    def mapping(self, value: Mapping[Any, Any], level: int = 0) -> Any:
        if self._rules is not None and level >= 0 and "task" in value and "kwargs" in value:
            return self._signature(value)
        changed = {}
        for key, each in self._counted(value.items()):
            if is_sensitive(key):
                self.note(each)
                changed[key] = HIDDEN
            elif (new := self.shown(each, level + 1)) is not each:
                changed[key] = new
        return {**value, **changed} if changed else value

    def note(self, value: Any) -> None:
        """Keep the texts in a value that is hidden."""
        if isinstance(value, str):
            self.noted.append(value)
        elif isinstance(value, dict | list | tuple):
            for each in self._counted(value.values() if isinstance(value, dict) else value):
                self.note(each)

    def _signature(self, value: Mapping[Any, Any]) -> Any:
        assert self._rules is not None
        given, named = value.get("args") or (), value.get("kwargs") or {}
        if not isinstance(given, list | tuple) or not isinstance(named, dict):
            return value
        args, kwargs = self._rules.of(str(value["task"])).shown(given, named, self)
        return value if args is given and kwargs is named else {**value, "args": args, "kwargs": kwargs}

    def _counted(self, values: Iterable[Any]) -> Iterator[Any]:
        for each in values:
            self._left -= 1
            if self._left < 0:
                return
            yield each


def _rule_of(task: Any, rules: Rules) -> Rule:
    declared = getattr(task, "sensitive", None) or ()
    declared = {declared} if isinstance(declared, str) else set(map(str, declared))
    try:
        parameters = list(inspect.signature(task.run).parameters.values())
    except (TypeError, ValueError):
        return Rule(frozenset(declared), others=rules)
    kinds = {each.name: each.kind for each in parameters}
    has_other_keys = inspect.Parameter.VAR_KEYWORD in kinds.values()
    if (unknown := declared - kinds.keys()) and not has_other_keys:
        logger.warning(
            "Task %s has no parameter %s, which it calls sensitive.", task.name, ", ".join(sorted(unknown))
        )
    hidden = [at for at, each in enumerate(parameters) if each.name in declared or is_sensitive(each.name)]
    rest = [at for at in hidden if parameters[at].kind is inspect.Parameter.VAR_POSITIONAL]
    names = declared | {parameters[at].name for at in hidden}
    return Rule(frozenset(names), frozenset(hidden), rest[0] if rest else None, has_other_keys, rules)


def _quoted(text: str) -> tuple[str, ...]:
    return repr(text), json.dumps(text), json.dumps(text, ensure_ascii=False)


def _like(given: Any, values: list[Any]) -> Any:
    return tuple(values) if isinstance(given, tuple) else values


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "CELERIAC":
        for rules in list(_all):
            rules.forget()


setting_changed.connect(_forget, dispatch_uid="celeriac.sensitive")
