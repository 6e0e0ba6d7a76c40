"""How long a supervisor waits for a worker that it stops: until no task may run any more."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from celery import Celery, Task

#: To store what the last task came to, and to give back what had not begun.
_AFTERWARDS_SECONDS = 30
_LEAST_SECONDS = 60


@dataclass(frozen=True, slots=True)
class StopTime:
    """A number of seconds, and why it is that one."""

    seconds: int
    reason: str
    #: Whether a task may run longer than that.
    is_too_short: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """What the worker's own options say, in seconds; None: what the settings do."""

    hard: float | None = None
    soft: float | None = None
    #: When it is to stop, running tasks have so long, and are given back then.
    graceful: float | None = None


def longest(app: Celery, given: Limits = Limits()) -> StopTime:
    """From the time limits of the worker and of each task, whichever is the longest; tasks are imported."""
    if given.graceful is not None:
        return _graceful(given.graceful)
    limits_of_worker = of_worker(app, given)
    tasks = {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}
    limits = {name: _limit(task, limits_of_worker) for name, task in tasks.items()}
    known = {name: limit for name, limit in limits.items() if limit}
    if not known:
        return _without_limits(app)
    name, limit = max(known.items(), key=lambda item: item[1])
    seconds = _at_least(limit)
    reason = f"The longest time limit is {limit:g} s ({name})."
    if endless := sorted(set(limits) - set(known)):
        return StopTime(seconds, f"{reason} {_endless(endless, seconds)}", is_too_short=True)
    return StopTime(seconds, reason, is_too_short=False)


def chosen(app: Celery, seconds: int, given: Limits = Limits()) -> StopTime:
    """What the user wants, whatever the limits are."""
    needed = longest(app, given)
    if not needed.is_too_short and needed.seconds <= seconds:
        return StopTime(seconds, needed.reason, is_too_short=False)
    return StopTime(seconds, f"As asked for. {_what_happens(seconds)}", is_too_short=True)


def of_worker(app: Celery, given: Limits) -> Limits:
    """What holds for a task that has no limit of its own, by this version of Celery."""
    conf = app.conf
    return Limits(_first(given.hard, conf.task_time_limit), _first(given.soft, conf.task_soft_time_limit))


def _first(option: float | None, setting: float | None) -> float | None:
    # From 5.7 on each type of a task is given the setting, and that comes before the worker's option.
    is_setting_first = ("time_limit", "task_time_limit") in Task.from_config
    if option is None or (is_setting_first and setting):
        return setting
    return option


def _graceful(seconds: float) -> StopTime:
    reason = f"--graceful gives back what runs for {seconds:g} s more."
    return StopTime(_at_least(seconds), reason, is_too_short=False)


def _at_least(limit: float) -> int:
    return max(_LEAST_SECONDS, ceil(limit) + _AFTERWARDS_SECONDS)


def _limit(task: Any, of_worker: Limits) -> float | None:
    """Celery's prefork pool ends a task at the hard limit; a task may still clean up behind the soft one."""
    hard = task.time_limit or of_worker.hard
    soft = task.soft_time_limit or of_worker.soft
    return float(hard or soft or 0) or None


def _without_limits(app: Celery) -> StopTime:
    has_tasks = any(not name.startswith("celery.") for name in app.tasks)
    what = "No task has a time limit" if has_tasks else "No task was found"
    advice = "CELERY_TASK_TIME_LIMIT sets a limit; then make this file anew."
    return StopTime(_LEAST_SECONDS, f"{what}. {_what_happens(_LEAST_SECONDS)} {advice}", is_too_short=True)


def _endless(names: list[str], seconds: int) -> str:
    shown = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
    return f"Without a limit: {shown}. {_what_happens(seconds)}"


def _what_happens(seconds: int) -> str:
    return f"What runs longer than {seconds} s is ended by a stop, and runs again."
