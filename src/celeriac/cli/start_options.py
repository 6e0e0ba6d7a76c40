"""The options of `celery start` that are not Celery's: they are read here, and Celery gets the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf

from celery.bin.worker import worker

from celeriac.cli.words import value_of, without
from celeriac.errors import CeleriacError

_APP = ("-A", "--app")
_QUEUES = ("-Q", "--queues")
_RELOAD, _NO_RELOAD = "--reload", "--no-reload"
_RELOAD_TIMEOUT, _GRACEFUL = "--reload-timeout", "--graceful"
_OURS = (_RELOAD, _NO_RELOAD, _RELOAD_TIMEOUT, _GRACEFUL, "--no-beat", "--pool-start-method")
#: Longer than most tasks of a project that is being written, and as long as somebody waits for an edit.
_RELOAD_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What was asked for in words of ours."""

    #: None: neither --reload nor --no-reload was given.
    reload: bool | None
    reload_timeout_seconds: float
    #: How long running tasks may take when the worker is to stop; None: as long as they need.
    graceful_seconds: float | None


def split(words: Sequence[str]) -> tuple[StartOptions, list[str]]:
    """Our options, and the words that are Celery's. Raises CeleriacError for a value that is no time."""
    flags = [word for word in words if word in (_RELOAD, _NO_RELOAD)]
    timeout = seconds_of(words, _RELOAD_TIMEOUT)
    ours = StartOptions(
        reload=flags[-1] == _RELOAD if flags else None,
        reload_timeout_seconds=_RELOAD_TIMEOUT_SECONDS if timeout is None else timeout,
        graceful_seconds=seconds_of(words, _GRACEFUL),
    )
    rest = without(words, (_RELOAD_TIMEOUT, _GRACEFUL))
    _check(rest)
    return ours, [word for word in rest if word not in (_RELOAD, _NO_RELOAD)]


def _check(words: Sequence[str]) -> None:
    """What Celery would explain by the options that it has, or take without a word."""
    celerys = {name for option in worker.params for name in option.opts}
    for word in words:
        name = word.partition("=")[0]
        if name.startswith(_APP):
            raise CeleriacError("start: -A stands before the command: manage.py celery -A proj start")
        near = get_close_matches(name, _OURS, n=1, cutoff=0.75)
        if name.startswith("--") and near and name not in {*_OURS, *celerys}:
            raise CeleriacError(f"start: no option {word!r}; did you mean {near[0]}?")
    queues = value_of(words, _QUEUES)
    if queues is not None and not any(queues.split(",")):
        raise CeleriacError("start: -Q names no queue. For example: -Q celery,mails")


def seconds_of(words: Sequence[str], name: str) -> float | None:
    """The value of an option; None where it is not given. Raises CeleriacError for one that is no time."""
    if not any(word.partition("=")[0] == name for word in words):
        return None
    given = value_of(words, (name,))
    try:
        seconds = float(given or "")
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < inf:
        raise CeleriacError(f"{name} needs seconds, as in {name} 30, not {given!r}.")
    return seconds
