"""Celeriac's own settings: `CELERIAC = {…}`, each with its default, unit and meaning."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import lru_cache
from math import inf
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from celeriac.errors import WrongSetting


@dataclass(frozen=True, slots=True)
class Options:
    """The values of `CELERIAC`; a field `max_deliveries` is the key `MAX_DELIVERIES`."""

    #: Dotted path `module:attribute` of the project's own Celery app; None: found or made.
    app: str | None = None
    #: Whether `tasks.py` is looked for in every directory of the project, or in installed apps only.
    discover: bool = True
    #: Directories (glob patterns relative to the project) that discovery leaves out.
    discover_exclude: tuple[str, ...] = ()
    #: Bytes of a serialized message above which `delay()` refuses it.
    max_message_bytes: int = 1024 * 1024
    #: Bytes of a serialized result above which its task ends as FAILURE.
    max_result_bytes: int = 4 * 1024 * 1024
    #: Deliveries after which a message that never ends becomes a dead letter.
    max_deliveries: int = 5
    #: Seconds that a message waits for a worker that knows its task; then it becomes a dead letter.
    unknown_task_seconds: float = 3600.0
    #: Seconds between two looks at the queues when nothing wakes the worker.
    poll_seconds: float = 1.0
    #: Seconds between two heartbeats of a worker.
    heartbeat_seconds: float = 5.0
    #: Seconds without a heartbeat after which a worker without a session lock is lost.
    lost_after_seconds: float = 30.0
    #: Days that a dead letter is kept, for somebody to find out why and to send it again.
    dead_letter_days: float = 30.0
    #: Days that an attempt is kept at the least, also when nothing else is left of its task.
    attempt_days: float = 1.0
    #: Seconds that a message may wait for a worker before `status` and `healthz/` complain.
    waiting_limit_seconds: float = 300.0
    #: Whether a task for RabbitMQ, Redis or another broker is a row first, in the caller's transaction.
    outbox: bool = False
    #: Names of arguments, and of keys within them, whose values are not shown: regular expressions, each for
    #: whole words of a name.
    sensitive_keys: tuple[str, ...] = (
        "passwords?",
        "passwd",
        "passphrase",
        "secrets?",
        "token",
        "csrfmiddlewaretoken",
        "api_?keys?",
        "access_?key",
        "private_?key",
        "authorization",
        "credentials?",
        "cookies?",
        "session_?(?:id|key)",
    )
    #: What a monitor sends to read `metrics/`; None: the staff of the site alone may.
    metrics_token: str | None = None
    #: Directory of this host's doorbells and locks; None: beside the SQLite file, or the user's own.
    runtime_directory: str | None = None


@lru_cache(maxsize=1)
def options() -> Options:
    """The settings in force; raises WrongSetting for an unknown key or a value of the wrong type."""
    given = getattr(settings, "CELERIAC", {})
    if not isinstance(given, dict):
        raise WrongSetting(f"CELERIAC must be a dict, not {type(given).__name__}.")
    known = {field.name.upper(): field for field in fields(Options)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            raise WrongSetting(_unknown_key(key, list(known)))
        values[known[key].name] = _checked(key, value, getattr(Options(), known[key].name))
    return Options(**values)


def urls_in(setting: Any) -> list[str]:
    """The URLs of a broker setting in each form that kombu takes: one, a list, or joined by `;`."""
    given = setting if isinstance(setting, list | tuple) else [setting or ""]
    return [url for item in given for url in str(item).split(";")]


def _unknown_key(key: object, known: list[str]) -> str:
    near = get_close_matches(str(key).upper(), known, n=1, cutoff=0.4)
    advice = f"Did you mean {near[0]!r}?" if near else f"The keys are: {', '.join(known)}."
    return f"CELERIAC has no key {key!r}. {advice}"


def _checked(key: str, value: object, default: object) -> object:
    """The value as the field wants it; text fields have None as default."""
    if default is None:
        if value is None or isinstance(value, str):
            return value
        raise WrongSetting(f"CELERIAC[{key!r}] must be a string or None, not {value!r}.")
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        raise WrongSetting(f"CELERIAC[{key!r}] must be True or False, not {value!r}.")
    if isinstance(default, tuple):
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return _expressions(key, value) if key == "SENSITIVE_KEYS" else tuple(value)
        raise WrongSetting(f"CELERIAC[{key!r}] must be a list of strings, not {value!r}.")
    is_whole = isinstance(default, int)
    numbers = int if is_whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, numbers) or not 0 < value < inf:
        kind = "whole number" if is_whole else "number"
        raise WrongSetting(f"CELERIAC[{key!r}] must be a {kind} above 0, not {value!r}.")
    return value


def _expressions(key: str, value: Sequence[str]) -> tuple[str, ...]:
    for each in value:
        try:
            re.compile(each)
        except re.error as error:
            raise WrongSetting(
                f"CELERIAC[{key!r}] has {each!r}, which is no regular expression: {error}."
            ) from error
    return tuple(value)


def _forget(*, setting: str, **_: object) -> None:
    if setting == "CELERIAC":
        options.cache_clear()


# Tests change settings with `override_settings`; the cache must follow.
setting_changed.connect(_forget, dispatch_uid="celeriac.conf")
