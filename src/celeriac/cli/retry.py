"""`manage.py celery retry`: send the exact message of tasks again, by their ids or by a query."""

from argparse import ArgumentParser, Namespace

from celery import Celery

from celeriac import control
from celeriac.cli import asking, bulk, cells, output, task_ids
from celeriac.cli.command import Command
from celeriac.errors import CannotBeSentAgain
from celeriac.publisher.batches import SentAgain
from celeriac.selectors import moments, tasks


def _work(app: Celery, options: Namespace) -> int:
    """0: all were sent again, or none is found; 1: some were not, or are not there."""
    bulk.check("retry", has_ids=bool(options.id), has_query=options.query is not None)
    return _by_ids(options) if options.id else _by_query(app, options)


def _by_ids(options: Namespace) -> int:
    ids, has_all = task_ids.known(options.id)
    done, results = SentAgain(), []
    for task_id in ids:
        try:
            result = control.retry(task_id, force=options.force, as_new=options.as_new)
        except CannotBeSentAgain as error:
            done.add(0, [str(error).rstrip(".")], None)
        else:
            done.add(1, [], None)
            results.append(result.id)
    if not ids and not options.json:
        return 1
    code = bulk.sent(done, results, is_json=options.json)
    if options.as_new and not options.json:
        for task_id in results:
            output.line(task_id)
    return code if has_all else 1


def _by_query(app: Celery, options: Namespace) -> int:
    found, count = moments.counted(tasks.find(app, asking.query_of(options)))
    if count and not output.is_confirmed(f"Send {cells.counted(count, 'task')} again?", is_given=options.yes):
        return 1
    if not count and not options.json:
        output.line("No task is found.")
        return 0
    with output.progress("sent again", count) as show:
        done = control.retry_many(
            found, force=options.force, as_new=options.as_new, progress=lambda so_far: show(so_far.done)
        )
    return bulk.sent(done, [], is_json=options.json)


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="*", help="a task's id, or as much of its beginning as no other one has")
    asking.add_query(parser, "all")
    parser.add_argument(
        "--force", action="store_true", help="also what waits or runs, and then may run twice"
    )
    parser.add_argument(
        "--as-new", action="store_true", help="as new tasks, also what succeeded or is revoked"
    )
    bulk.add_yes(parser)


COMMAND = Command(
    "retry",
    "Sends the exact messages of tasks again that did not succeed, under their own ids: whoever waits for\n"
    "them, as a chord or the next task of a chain, goes on. With a query it says how many these are,\n"
    "and asks.",
    "retry --query 'state:failed exc:Timeout since:2h'",
    _work,
    _arguments,
)
