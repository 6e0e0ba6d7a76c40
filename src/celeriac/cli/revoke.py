"""`manage.py celery revoke`: tasks that are not to run, by their ids or by a query, for good."""

import signal
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence

from celery import Celery

from celeriac.cli import asking, bulk, cells, output, task_ids
from celeriac.cli.command import Command
from celeriac.selectors import moments, tasks

#: Ids in one message to the workers, and in one transaction.
_STEP = 500


def _work(app: Celery, options: Namespace) -> int:
    """0: they are revoked, or none is found; 1: some have ended, or are not there."""
    bulk.check("revoke", has_ids=bool(options.id), has_query=options.query is not None)
    return _by_ids(app, options) if options.id else _by_query(app, options)


def _by_ids(app: Celery, options: Namespace) -> int:
    known, has_all = task_ids.known(options.id)
    ended = tasks.ended(known)
    for task_id, state in ended.items():
        output.error(f"Task {task_id} has ended: {state}.")
    ids = [task_id for task_id in known if task_id not in ended]
    _revoke(app, ids, options)
    _say(len(ids), ids, options)
    return 0 if has_all and not ended else 1


def _by_query(app: Celery, options: Namespace) -> int:
    found, count = moments.counted(tasks.unended(tasks.find(app, asking.query_of(options))))
    verb = "Revoke and terminate" if options.terminate else "Revoke"
    question = f"{verb} {cells.counted(count, 'task')}, none of which has ended?"
    if count and not output.is_confirmed(question, is_given=options.yes):
        return 1
    done = 0
    with output.progress("revoked", count) as show:
        for ids in tasks.ids_in_steps(found, _STEP):
            _revoke(app, ids, options)
            done += len(ids)
            show(done)
    _say(done, [], options)
    return 0


def _revoke(app: Celery, ids: Sequence[str], options: Namespace) -> None:
    if ids:
        app.control.revoke(list(ids), terminate=options.terminate, signal=options.signal)


def _say(count: int, ids: Sequence[str], options: Namespace) -> None:
    if options.json:
        output.document({"revoked": count, "task_ids": list(ids), "terminated": options.terminate})
    elif count:
        goes_on = "" if options.terminate else " What runs already goes on; --terminate stops it."
        what = "it" if count == 1 else "them"
        output.line(f"{count:,} revoked: no worker will begin {what}, whenever it is started.{goes_on}")
    elif options.query is not None:
        output.line("No task is found that has not ended.")


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="*", help="a task's id, or as much of its beginning as no other one has")
    asking.add_query(parser, "all that have not ended of those")
    parser.add_argument("--terminate", "-t", action="store_true", help="also end those that run")
    parser.add_argument("--signal", "-s", type=_signal, default="SIGTERM", help="by which signal (SIGTERM)")
    bulk.add_yes(parser)


def _signal(text: str) -> str:
    """As workers take it. One that they do not know would end nothing, and nobody would be told."""
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    # The workers may run on another platform than this one.
    if name not in {*signal.Signals.__members__, "SIGKILL", "SIGQUIT"}:
        raise ArgumentTypeError(f"{text!r} is no signal; write SIGTERM or SIGKILL")
    return name


COMMAND = Command(
    "revoke",
    "Lets no worker begin these tasks, not even one that is started later. A task that waits is REVOKED\n"
    "when a worker comes to it. With a query it says how many these are, and asks. For a task that this\n"
    "database does not know: celery control revoke ID.",
    "revoke 8f3a --terminate",
    _work,
    _arguments,
)
