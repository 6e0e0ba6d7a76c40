"""How long a supervisor waits for a worker: until no task of the project may run any more."""

import pytest
from celery import Celery, Task

from celeriac.services import stop_time


def nothing():
    """What each task does."""


def app(*, tasks=({},), **settings):
    made = Celery("stopped", set_as_current=False)
    made.conf.update(settings)
    for number, options in enumerate(tasks):
        made.task(nothing, name=f"task{number}", shared=False, **options)
    made.finalize()
    # What other tests of this process share with every app.
    for name in [name for name in made.tasks if not name.startswith(("task", "celery."))]:
        made.tasks.unregister(name)
    return made


@pytest.mark.parametrize(
    ("settings", "tasks", "seconds", "reason"),
    [
        ({"task_time_limit": 600}, ({},), 630, "The longest time limit is 600 s (task0)."),
        (
            {"task_time_limit": 600},
            ({}, {"time_limit": 900.5}),
            931,
            "The longest time limit is 900.5 s (task1).",
        ),
        ({"task_time_limit": 600}, ({"time_limit": 60},), 90, "The longest time limit is 60 s (task0)."),
        ({"task_time_limit": 3}, ({},), 60, "The longest time limit is 3 s (task0)."),
        ({"task_soft_time_limit": 300}, ({},), 330, "The longest time limit is 300 s (task0)."),
    ],
)
def test_the_longest_limit_counts(settings, tasks, seconds, reason):
    found = stop_time.longest(app(tasks=tasks, **settings))

    assert (found.seconds, found.reason, found.is_too_short) == (seconds, reason, False)


@pytest.mark.parametrize(
    ("settings", "tasks", "given", "seconds", "is_too_short"),
    [
        ({}, ({},), {"hard": 600}, 630, False),
        # What the type of a task says comes before both.
        ({}, ({"time_limit": 900},), {"hard": 600}, 930, False),
        ({}, ({},), {"soft": 600}, 630, False),
        # A hard limit is what ends a task, whoever has set the soft one.
        ({}, ({"soft_time_limit": 300},), {"hard": 600}, 630, False),
        ({"task_soft_time_limit": 300}, ({},), {"hard": 0}, 330, False),
        ({}, ({},), {"hard": 0}, 60, True),
        ({}, ({},), {"graceful": 300}, 330, False),
        ({"task_time_limit": 1800}, ({},), {"graceful": 10}, 60, False),
    ],
)
def test_the_workers_own_options_count_too(settings, tasks, given, seconds, is_too_short):
    found = stop_time.longest(app(tasks=tasks, **settings), stop_time.Limits(**given))

    assert (found.seconds, found.is_too_short) == (seconds, is_too_short)


def test_of_an_option_and_a_setting_the_one_counts_that_celery_takes():
    # From 5.7 on the setting becomes each task's own.
    limit = 600 if ("time_limit", "task_time_limit") in Task.from_config else 1800

    found = stop_time.longest(app(task_time_limit=600), stop_time.Limits(hard=1800))

    assert found.seconds == limit + 30


def test_a_task_without_a_limit_is_named():
    found = stop_time.longest(app(tasks=({"time_limit": 100}, {})))

    assert (found.seconds, found.is_too_short) == (130, True)
    assert found.reason == (
        "The longest time limit is 100 s (task0). "
        "Without a limit: task1. What runs longer than 130 s is ended by a stop, and runs again."
    )


def test_without_any_limit_it_says_what_to_set():
    found = stop_time.longest(app())

    assert (found.seconds, found.is_too_short) == (60, True)
    assert "No task has a time limit." in found.reason
    assert "CELERY_TASK_TIME_LIMIT" in found.reason


@pytest.mark.parametrize(("seconds", "is_too_short"), [(3600, False), (100, True)])
def test_what_the_user_chooses_holds_and_is_judged(seconds, is_too_short):
    found = stop_time.chosen(app(task_time_limit=600), seconds)

    assert (found.seconds, found.is_too_short) == (seconds, is_too_short)
