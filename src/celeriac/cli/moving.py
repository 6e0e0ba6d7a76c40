"""`manage.py celery queues move`: what waits in one queue goes to another."""

from argparse import ArgumentParser, Namespace
from difflib import get_close_matches

from celery import Celery

from celeriac.broker import address
from celeriac.cli import bulk, output
from celeriac.cli.command import Command
from celeriac.errors import CeleriacError
from celeriac.publisher import moving
from celeriac.selectors import queues


def _work(app: Celery, options: Namespace) -> int:
    """0: they are moved, or none waits; 1: a queue is not there, or nobody said yes."""
    alias = address.alias_of(app)
    if alias is None:
        raise CeleriacError(
            "queues move: only messages in a database can be moved, not those of another broker."
        )
    known = {each.name: each for each in queues.queues(app)}
    if unknown := [name for name in (options.queue, options.to) if name not in known]:
        near = get_close_matches(unknown[0], known, n=1)
        output.error(f"There is no queue {unknown[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return 1
    if options.queue == options.to:
        raise CeleriacError("queues move: both are the same queue.")
    state, moved = known[options.queue], 0
    count = (state.waiting or 0) + (state.scheduled or 0)
    question = f"Move {count:,} messages from {options.queue} to {options.to}?"
    if count and not output.is_confirmed(question, is_given=options.yes):
        return 1
    with output.progress("moved", count) as show:
        for step in moving.move(alias, options.queue, options.to):
            moved += step
            show(moved)
    if options.json:
        output.document({"moved": moved})
    else:
        output.line(f"{moved:,} moved.")
    return 0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("queue", help="from this queue")
    parser.add_argument("to", help="to this one")
    bulk.add_yes(parser)


COMMAND = Command(
    "queues move",
    "Moves the messages that wait in a queue, those for later too, to another one; a retry of such a task\n"
    "goes to the queue that it was published to. Only with messages in a database.",
    "queues move mails slow-mails",
    _work,
    _arguments,
)
