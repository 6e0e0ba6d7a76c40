"""How long a supervisor waits for a worker that it stops: until no task may run any more."""

from dataclasses import dataclass
from math import ceil

from celery import Celery

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


def longest(app: Celery) -> StopTime:
    """From the time limits of the app and of each task, whichever is the longest; tasks are imported."""
    limits = {name: _limit(app, task) for name, task in app.tasks.items() if not name.startswith("celery.")}
    known = {name: limit for name, limit in limits.items() if limit}
    if not known:
        return _without_limits(app)
    name, limit = max(known.items(), key=lambda item: item[1])
    seconds = max(_LEAST_SECONDS, ceil(limit) + _AFTERWARDS_SECONDS)
    reason = f"The longest time limit is {limit:g} s ({name})."
    if endless := sorted(set(limits) - set(known)):
        return StopTime(seconds, f"{reason} {_endless(endless, seconds)}", is_too_short=True)
    return StopTime(seconds, reason, is_too_short=False)


def chosen(app: Celery, seconds: int) -> StopTime:
    """What the user wants, whatever the limits are."""
    needed = longest(app)
    if not needed.is_too_short and needed.seconds <= seconds:
        return StopTime(seconds, needed.reason, is_too_short=False)
    return StopTime(seconds, f"As asked for. {_what_happens(seconds)}", is_too_short=True)


def _limit(app: Celery, task: object) -> float | None:
    """Celery's prefork pool ends a task at the hard limit; a task may still clean up behind the soft one."""
    for owner, hard, soft in (
        (task, "time_limit", "soft_time_limit"),
        (app.conf, "task_time_limit", "task_soft_time_limit"),
    ):
        if found := getattr(owner, hard, None) or getattr(owner, soft, None):
            return float(found)
    return None


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
