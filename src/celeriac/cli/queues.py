"""`manage.py celery queues`: what waits in each queue and since when, what is taken, paused and dead."""

from argparse import Namespace
from dataclasses import asdict

from celery import Celery

from celeriac.cli import cells, moving, output, purging
from celeriac.cli.command import Command
from celeriac.cli.group import Group
from celeriac.selectors import queues
from celeriac.selectors.queues import QueueState

_HEADER = ("queue", "waiting", "oldest", "scheduled", "taken", "dead", "state")


def _work(app: Celery, options: Namespace) -> int:
    found = queues.queues(app)
    if options.json:
        output.document({"queues": [asdict(each) for each in found]})
    else:
        output.table(_HEADER, [_row(each) for each in found])
    return 0


def _row(state: QueueState) -> tuple[str, ...]:
    return (
        state.name,
        cells.number(state.waiting),
        cells.span(state.oldest_waiting_seconds),
        cells.number(state.scheduled),
        cells.number(state.claimed),
        cells.number(state.dead_letters),
        "paused" if state.is_paused else cells.NOTHING,
    )


COMMAND = Group(
    Command(
        "queues",
        "Lists the queues: how many messages wait for a worker and since when the oldest does, how many are\n"
        "scheduled for later, how many workers have taken, and how many are dead letters. `-` is not known,\n"
        "as on RabbitMQ and Redis what is scheduled or taken.",
        "queues --json",
        _work,
    ),
    {
        "move": (moving.COMMAND, "move the messages that wait in a queue to another"),
        "purge": (purging.COMMAND, "delete the messages that wait in a queue"),
    },
)
