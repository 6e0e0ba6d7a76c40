"""`manage.py celery pause` and `resume`: stop and go for queues, and the list of those that are paused."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any

from celery import Celery

from celeriac import control
from celeriac.broker import address
from celeriac.cli import output
from celeriac.cli.command import Command
from celeriac.models import Queue


def _work(change: Callable[..., Any], app: Celery, options: Namespace) -> int:
    """Do it, and print which queues are paused now."""
    _hint(app, options.queue)
    if options.queue:
        change(*options.queue)
    found = control.paused()
    if options.json:
        output.document({"paused": found})
    else:
        output.line(f"Paused: {', '.join(found)}." if found else "No queue is paused.")
    return 0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("queue", nargs="*", help="a queue's name; without any, the paused ones are listed")


def _hint(app: Celery, names: Sequence[str]) -> None:
    """Say it where a name looks like a slip; it may still be the queue of somebody who comes later."""
    known = {*app.amqp.queues, *_of_database(app), *control.paused()}
    for name in names:
        if name not in known and (near := get_close_matches(name, known, n=1)):
            output.error(f"No queue {name!r} is known yet. Did you mean {near[0]!r}?")


def _of_database(app: Celery) -> list[str]:
    alias = address.alias_of(app)
    return [] if alias is None else list(Queue.objects.using(alias).values_list("name", flat=True))


PAUSE = Command(
    "pause",
    "No worker takes messages from these queues until they are resumed; what it has taken runs.\n"
    "Without a queue it lists those that are paused.",
    "pause mails",
    partial(_work, control.pause),
    _arguments,
)
RESUME = Command(
    "resume",
    "The workers take messages from these queues again. Without a queue it lists those that are paused.",
    "resume mails",
    partial(_work, control.resume),
    _arguments,
)
