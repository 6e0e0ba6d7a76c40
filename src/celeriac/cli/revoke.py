"""`manage.py celery revoke`: tasks that are not to run, by their ids or by a query, for good."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from celery import Celery

from celeriac.broker.explaining import in_one_line
from celeriac.cli import asking, bulk, cells, output, task_ids
from celeriac.cli.command import Command
from celeriac.selectors import tasks

#: Ids in one message to the workers, and in one transaction.
_STEP = 500


def _work(app: Celery, options: Namespace) -> int:
    """0: they are revoked, or none is found; 1: some have ended, or are not there."""
    bulk.check("revoke", has_ids=bool(options.id), has_query=options.query is not None)
    return _by_ids(app, options) if options.id else _by_query(app, options)


def _by_ids(app: Celery, options: Namespace) -> int:
    known = task_ids.known(options.id)
    ended = tasks.ended(known)
    for task_id, state in ended.items():
        output.error(f"Task {task_id} has ended: {state}.")
    ids = [task_id for task_id in known if task_id not in ended]
    _revoke(app, ids, options)
    _say(len(ids), ids, options)
    return 0 if len(ids) == len(dict.fromkeys(options.id)) else 1


def _by_query(app: Celery, options: Namespace) -> int:
    found = tasks.unended(tasks.find(app, asking.query_of(options)))
    count = found.count()
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
        with in_one_line(app):
            app.control.revoke(list(ids), terminate=options.terminate, signal=options.signal)


def _say(count: int, ids: Sequence[str], options: Namespace) -> None:
    if options.json:
        output.document({"revoked": count, "task_ids": list(ids), "terminated": options.terminate})
    elif count:
        goes_on = "" if options.terminate else " What runs already goes on; --terminate stops it."
        output.line(f"{count:,} revoked: no worker will begin them, whenever it is started.{goes_on}")
    elif options.query is not None:
        output.line("No task is found that has not ended.")


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="*", help="a task's id, or as much of its beginning as no other one has")
    asking.add_query(parser, "all that have not ended of those")
    parser.add_argument("--terminate", "-t", action="store_true", help="also end those that run")
    parser.add_argument("--signal", "-s", default="SIGTERM", help="by which signal (SIGTERM)")
    bulk.add_yes(parser)


COMMAND = Command(
    "revoke",
    "Lets no worker begin these tasks, not even one that is started later. A task that waits is REVOKED\n"
    "when a worker comes to it. With a query it says how many these are, and asks. For a task that this\n"
    "database does not know: celery control revoke ID.",
    "revoke 8f3a --terminate",
    _work,
    _arguments,
)
