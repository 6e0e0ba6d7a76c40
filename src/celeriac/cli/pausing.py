"""`manage.py celery pause` and `resume`: stop and go for queues, and the list of those that are paused."""

import json
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any

from celery import Celery
from django.db import DatabaseError

from celeriac import control
from celeriac.broker import address
from celeriac.cli import engine, output
from celeriac.errors import CeleriacError
from celeriac.models import Queue

HELP = """\
manage.py celery {word} [QUEUE …] [--json]

{what} Without a queue it lists those that are paused.

Example: python manage.py celery {word} mails
"""
_WHAT = {
    "pause": "No worker takes messages from these queues until they are resumed; what it has taken runs.",
    "resume": "The workers take messages from these queues again.",
}


def run(word: str, app: Celery, arguments: Sequence[str]) -> int:
    """Do it, and print which queues are paused now; 0. Raises CeleriacError."""
    if {"-h", "--help"} & set(arguments):
        output.line(HELP.format(word=word, what=_WHAT[word]))
        return 0
    names = [argument for argument in arguments if argument != "--json"]
    if unknown := [name for name in names if name.startswith("-")]:
        raise CeleriacError(f"{word} has no option {unknown[0]!r}. Its only one is --json.")
    try:
        _hint(app, names)
        if names:
            _VERBS[word](*names)
        found = control.paused()
    except DatabaseError as error:
        raise engine.explained(error) from error
    if "--json" in arguments:
        output.line(json.dumps({"paused": found}))
    else:
        output.line(f"Paused: {', '.join(found)}." if found else "No queue is paused.")
    return 0


def _hint(app: Celery, names: Sequence[str]) -> None:
    """Say it where a name looks like a slip; it may still be the queue of somebody who comes later."""
    known = {*app.amqp.queues, *_of_database(app), *control.paused()}
    for name in names:
        if name not in known and (near := get_close_matches(name, known, n=1)):
            output.error(f"No queue {name!r} is known yet. Did you mean {near[0]!r}?")


def _of_database(app: Celery) -> list[str]:
    alias = address.alias_of(app)
    return [] if alias is None else list(Queue.objects.using(alias).values_list("name", flat=True))


_VERBS: dict[str, Callable[..., Any]] = {"pause": control.pause, "resume": control.resume}
pause, resume = partial(run, "pause"), partial(run, "resume")
