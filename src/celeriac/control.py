"""Remote control that lasts: what is revoked or paused is so for a worker that is started later too."""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from celery import Celery
from celery.app.control import Control
from celery.utils.functional import maybe_list
from celery.utils.imports import symbol_by_name
from django.db import Error
from django.db.models import QuerySet

from celeriac.app import get_app
from celeriac.broker import caller, payload
from celeriac.broker import paused as paused_queues
from celeriac.broker.explaining import in_one_line
from celeriac.database import threads
from celeriac.errors import Unreachable
from celeriac.models import DeadLetter, lengths
from celeriac.publisher import again, letters
from celeriac.publisher.batches import Progress, SentAgain
from celeriac.publisher.verdicts import How
from celeriac.results import revocations
from celeriac.results.pending import results_alias

logger = logging.getLogger(__name__)

#: The command by which workers are told to look at the tables again.
LOOK_AT_ORDERS = "celeriac_look_at_orders"
#: A stamp with its type: JSON's 1 and "1" are two.
_encode = payload.encoder()
#: Commands that revoke tasks: by their ids, and by stamps.
_BY_ID, _BY_STAMPS = frozenset({"revoke", "terminate"}), "revoke_by_stamped_headers"


def pause(*queues: str) -> None:
    """Let no worker take messages from these queues, on every broker, until they are resumed.

    A part of the caller's transaction. What a worker has taken already runs; publishing goes on. A worker
    that is not reached by remote control finds out within 30 s. Raises NameRefused.
    """
    for queue in queues:
        lengths.check("queue", queue)
    threads.run_anywhere(partial(_change, paused_queues.pause, queues))


def resume(*queues: str) -> None:
    """Let the workers take messages from these queues again; a part of the caller's transaction."""
    threads.run_anywhere(partial(_change, paused_queues.resume, queues))


def paused() -> list[str]:
    """The names of the queues that are paused."""
    return threads.run_anywhere(lambda: paused_queues.names(results_alias()))


def retry(task_id: str, *, force: bool = False, as_new: bool = False) -> Any:
    """Send the exact message of a task again, under its own id; its result.

    For a task that did not succeed: its rows are as if it had just been published, and each run before
    stays as an attempt. Chords, groups, chains and whoever holds its result go on with it. `as_new`: as a
    task of its own, whose record names this one as `origin_id`; also for a task that succeeded or is revoked.
    `force`: also for one that still waits or runs, which then may run twice.

    A part of the caller's transaction; to RabbitMQ and Redis the message goes after its commit. An
    AsyncResult that has seen the end keeps it: the new one looks again. Raises CannotBeSentAgain.
    """
    return threads.run_anywhere(partial(again.retry, get_app(), task_id, How(force, as_new)))


def retry_many(
    tasks: Iterable[str] | QuerySet[Any],
    *,
    force: bool = False,
    as_new: bool = False,
    progress: Progress | None = None,
) -> SentAgain:
    """Do as `retry` for ids, or for all of a filter of TaskRecord or TaskResult: 500 in a transaction.

    In the caller's transaction if there is one. What cannot be sent is counted by its reason. `progress` is
    called after each batch with what has been done so far.
    """
    work = partial(again.retry_many, get_app(), tasks, How(force, as_new), progress)
    return threads.run_anywhere(work)


def replay(letter: DeadLetter | int, *, force: bool = False) -> Any:
    """Send the exact message of a dead letter to its queue again; the result of its task.

    The letter is gone with the same commit. Otherwise as `retry`.
    """
    return threads.run_anywhere(partial(letters.replay, get_app(), letter, How(force)))


def replay_many(
    dead: Iterable[DeadLetter | int] | QuerySet[DeadLetter],
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> SentAgain:
    """Do as `replay` for letters, their keys, or all of a filter of DeadLetter; otherwise as `retry_many`."""
    return threads.run_anywhere(partial(letters.replay_many, get_app(), dead, How(force), progress))


def _change(change: Callable[[str, Iterable[str]], None], queues: Sequence[str]) -> None:
    alias = results_alias()
    change(alias, queues)
    # They look at once, and must see it.
    caller.after_commit(alias, _tell)


def _tell() -> None:
    app = get_app()
    try:
        with in_one_line(app):
            app.control.broadcast(LOOK_AT_ORDERS)
    except Unreachable as error:
        # The row is what counts.
        logger.warning("The workers could not be told, and find out within 30 s: %s", error)


def install(app: Celery) -> None:
    """Let the app's control remember; done once, when Django is ready."""
    base = symbol_by_name(app.control_cls)
    if issubclass(base, _Lasting):
        return
    app.control_cls = type("Control", (_Lasting, base), {})
    app.__dict__.pop("control", None)


class _Lasting(Control):
    """Celery's, which tells the workers that are there; the table tells the others."""

    def broadcast(
        self, command: str, arguments: Any = None, destination: Any = None, *rest: Any, **options: Any
    ) -> Any:
        """Send a command; one that revokes tasks for every worker is remembered first.

        The row is a part of the caller's transaction; on RabbitMQ and Redis the workers that run are told
        before that ends.
        """
        given = arguments or {}
        # For one worker alone it is that worker's affair, as in Celery.
        is_for_all = not destination and not options.get("pattern")
        try:
            revocations.remember(_revoked(command, given) if is_for_all else [])
        except Error:
            # What runs away must be stopped also when the database is away.
            if command == "terminate" or given.get("terminate"):
                super().broadcast(command, arguments, destination, *rest, **options)
            raise
        return super().broadcast(command, arguments, destination, *rest, **options)


def _revoked(command: str, arguments: dict[str, Any]) -> list[revocations.Entry]:
    if command in _BY_ID:
        return [("", str(task_id)) for task_id in maybe_list(arguments.get("task_id")) or []]
    if command == _BY_STAMPS:
        return [
            (str(header), _encode(stamp))
            for header, stamps in _headers(arguments.get("headers")).items()
            for stamp in maybe_list(stamps) or []
        ]
    return []


def _headers(given: Any) -> dict[str, Any]:
    """A mapping, or texts `header=stamp` as Celery's command line has them."""
    if isinstance(given, dict):
        return given
    found: dict[str, list[str]] = {}
    for each in maybe_list(given) or []:
        header, _, stamp = str(each).partition("=")
        found.setdefault(header, []).append(stamp)
    return found
