"""`manage.py celery queues purge`: delete what waits in queues."""

from argparse import ArgumentParser, Namespace
from difflib import get_close_matches

from celery import Celery

from celeriac.broker import depths
from celeriac.cli import output
from celeriac.cli.command import Command
from celeriac.selectors import queues


def _work(app: Celery, options: Namespace) -> int:
    """Delete them; 1 where a queue is not there, or nobody said yes."""
    known = {each.name: each for each in queues.queues(app)}
    # What RabbitMQ knows nothing of may be in the settings all the same.
    unknown = [name for name in options.queue if name not in known or known[name].waiting is None]
    for name in unknown:
        near = get_close_matches(name, [each for each in known if each not in unknown], n=1)
        output.error(f"There is no queue {name!r}.{f' Did you mean {near[0]!r}?' if near else ''}")
    names = [name for name in dict.fromkeys(options.queue) if name not in unknown]
    waiting = {name: (known[name].waiting or 0) + (known[name].scheduled or 0) for name in names}
    if names and not _may(waiting, is_given=options.yes):
        return 1
    purged = {name: depths.purge(app, name) for name in names}
    if options.json:
        output.document({"purged": purged})
    else:
        for name, count in purged.items():
            output.line(f"{count:,} messages deleted from {name}. Their tasks will not run.")
    return 1 if unknown else 0


def _may(waiting: dict[str, int], *, is_given: bool) -> bool:
    said = ", ".join(f"{count:,} in {name}" for name, count in waiting.items())
    return output.is_confirmed(f"Delete the messages that wait, {said}?", is_given=is_given)


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("queue", nargs="+", help="a queue's name")
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")


COMMAND = Command(
    "queues purge",
    "Deletes the messages that wait in these queues, those for later too. What workers have taken runs.\n"
    "Their tasks stay in the state that they have; to have them end, use `celery revoke --query`.",
    "queues purge mails --yes",
    _work,
    _arguments,
)
