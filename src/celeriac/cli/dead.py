"""`manage.py celery dead`: messages that were refused or given up, to look at, send again or delete."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import asdict
from typing import Any

from celery import Celery
from django.db.models import QuerySet

from celeriac import control
from celeriac.cli import asking, bulk, cells, output
from celeriac.cli.command import Command
from celeriac.cli.group import Group
from celeriac.errors import CeleriacError
from celeriac.models import DeadLetter
from celeriac.results import retention
from celeriac.selectors import letters, moments
from celeriac.selectors.letters import Letter

_LIMIT = 50
#: What every database's column of numbers holds.
_DIGITS = 18
_HEADER = ("number", "task", "type", "queue", "deliveries", "died", "reason")


def _list(app: Celery, options: Namespace) -> int:
    found = letters.find(app, asking.query_of(options, *options.words))
    listed, total = letters.listed(found, options.limit), found.count()
    if options.json:
        output.document({"letters": [asdict(each) for each in listed], "total": total})
        return 0
    output.table(_HEADER, [_row(each) for each in listed])
    if output.is_for_people():
        output.line(f"{len(listed):,} of {total:,}" if total else "No dead letter is found.")
    return 0


def _row(letter: Letter) -> tuple[str, ...]:
    return (
        str(letter.number),
        cells.task_id(letter.task_id or cells.NOTHING),
        cells.text(letter.task_name),
        letter.queue,
        str(letter.deliveries),
        cells.since(letter.died_at),
        cells.text(letter.reason),
    )


def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="QUERY", help="words of a query: type:, queue:, exc:, since:, …"
    )
    asking.add_query(parser, "those")
    asking.add_limit(parser, _LIMIT)


def _show(app: Celery, options: Namespace) -> int:
    found = letters.listed(letters.numbered(app, [options.number]), 1)
    if not found:
        return _absent(options.number)
    if options.json:
        output.document(asdict(found[0]))
        return 0
    for name, value in asdict(found[0]).items():
        output.foreign(f"{name.replace('_', ' '):<12}{cells.NOTHING if value is None else value}")
    return 0


def _replay(app: Celery, options: Namespace) -> int:
    """0: all are sent again, or none is found; 1: some are not, or are not there."""
    chosen, has_all = _chosen("dead replay", app, options)
    found, count = moments.counted(chosen)
    if count and not options.number:
        question = (
            f"Send the message{'' if count == 1 else 's'} of {cells.counted(count, 'dead letter')} again?"
        )
        if not output.is_confirmed(question, is_given=options.yes):
            return 1
    if not count and not options.json:
        return _nothing(options)
    with output.progress("sent again", count) as show:
        done = control.replay_many(found, force=options.force, progress=lambda so_far: show(so_far.done))
    code = bulk.sent(done, [], is_json=options.json)
    return code if has_all else 1


def _delete(app: Celery, options: Namespace) -> int:
    chosen, has_all = _chosen("dead delete", app, options)
    (found, count), deleted = moments.counted(chosen), 0
    question = f"Delete {cells.counted(count, 'dead letter')} for good?"
    if count and not output.is_confirmed(question, is_given=options.yes):
        return 1
    if not count and not options.json:
        return _nothing(options)
    with output.progress("deleted", count) as show:
        for step in retention.delete_in_steps(found.db, found.order_by("pk")):
            deleted += step
            show(deleted)
    if options.json:
        output.document({"deleted": deleted})
    else:
        output.line(f"{deleted:,} deleted.")
    return 0 if has_all else 1


def _chosen(command: str, app: Celery, options: Namespace) -> tuple[QuerySet[DeadLetter], bool]:
    """Those that are asked for, and whether all that have a number are there."""
    has_query = options.query is not None or options.all
    if not options.number and not has_query:
        raise CeleriacError(f"{command}: which ones? Give numbers, --query 'queue:mails since:2h', or --all.")
    bulk.check(command, has_ids=bool(options.number), has_query=has_query)
    if options.query is not None and options.all:
        raise CeleriacError(f"{command}: give a query or --all, not both.")
    if has_query:
        return letters.find(app, asking.query_of(options)), True
    found = letters.numbered(app, options.number)
    absent = set(options.number) - set(found.values_list("pk", flat=True))
    for number in sorted(absent):
        _absent(number)
    return found, not absent


def _nothing(options: Namespace) -> int:
    if options.number:
        return 1
    output.line("No dead letter is found.")
    return 0


def _absent(number: int) -> int:
    output.error(f"There is no dead letter {number}.")
    return 1


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > _DIGITS:
        raise ArgumentTypeError(f"{text!r} is no number; a task's letters: celery dead id:{text}")
    return int(text)


def _chosen_arguments(parser: ArgumentParser) -> Any:
    parser.add_argument("number", nargs="*", type=_number, help="of a letter, as `celery dead` lists it")
    asking.add_query(parser, "all")
    parser.add_argument("--all", action="store_true", help="all that there are")
    bulk.add_yes(parser)


def _replay_arguments(parser: ArgumentParser) -> None:
    _chosen_arguments(parser)
    parser.add_argument(
        "--force", action="store_true", help="also where the task waits, runs or has succeeded"
    )


def _show_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("number", type=_number, help="of a letter, as `celery dead` lists it")


COMMAND = Group(
    Command(
        "dead",
        "Lists the dead letters, the latest first: messages that no worker could run, each with the reason.\n"
        "They are kept for 30 days.",
        "dead type:mail.* since:1d",
        _list,
        _list_arguments,
    ),
    {
        "show": (
            Command("dead show", "Shows one with its whole reason.", "dead show 17", _show, _show_arguments),
            "one with its whole reason",
        ),
        "replay": (
            Command(
                "dead replay",
                "Sends the exact messages of dead letters to their queues again; the letters go with them.",
                "dead replay --query type:mail.*",
                _replay,
                _replay_arguments,
            ),
            "send messages again",
        ),
        "delete": (
            Command(
                "dead delete",
                "Deletes dead letters: their messages are lost then.",
                "dead delete --query until:14d --yes",
                _delete,
                _chosen_arguments,
            ),
            "delete them for good",
        ),
    },
)
