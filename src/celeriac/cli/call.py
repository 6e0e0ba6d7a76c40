"""`manage.py celery call NAME …`: send a task, and wait for what it comes to if that is wanted."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import datetime
from typing import Any

from celery import Celery, states
from celery.exceptions import TimeoutError as NotReadyInTime
from celery.utils.time import maybe_iso8601

from celeriac.broker.errors import BrokerRefused
from celeriac.broker.explaining import check_serializer
from celeriac.cli import arguments, output
from celeriac.cli.command import Command
from celeriac.errors import CeleriacError
from celeriac.selectors import readable

_TIMED_OUT = 124
_HIGHEST = 9
#: A hundred years.
_LONGEST_SECONDS = 3_155_760_000
#: Options of Celery's own that it hands on as they are.
_HANDED_ON = ("countdown", "eta", "expires", "serializer", "queue", "exchange", "routing_key", "priority")


def _work(app: Celery, options: Namespace) -> int:
    """0: it is sent, or has succeeded; 1: it failed; 124: it did not end in time."""
    wanted = arguments.call_of(options)
    task = None if options.unknown else arguments.warn_of_unknown(app, wanted.name)
    check_serializer(app, options.serializer or getattr(task, "serializer", None) or app.conf.task_serializer)
    how = {name: getattr(options, name) for name in _HANDED_ON if getattr(options, name) is not None}
    result = _sent(app, task, wanted, how)
    if options.wait is None:
        _say(options, result, None)
        return 0
    return _wait(options, result)


def _sent(app: Celery, task: Any, wanted: arguments.Call, how: dict[str, Any]) -> Any:
    try:
        if task is None:
            return app.send_task(wanted.name, wanted.args, wanted.kwargs, **how)
        return task.apply_async(wanted.args, wanted.kwargs, **how)
    except BrokerRefused as error:
        raise CeleriacError(str(error)) from error
    except TypeError as error:
        raise arguments.refused(wanted.name, error) from error


def _wait(options: Namespace, result: Any) -> int:
    if result.ignored:
        output.error(f"Task {result.id} ignores its result: nobody can wait for it.")
        _say(options, result, None)
        return 0
    try:
        value = result.get(timeout=options.wait, propagate=False)
    except NotReadyInTime:
        _say(options, result, result.state)
        output.error(
            f"It has not ended within {options.wait:g} s. What became of it: celery tasks show {result.id}"
        )
        return _TIMED_OUT
    except NotImplementedError as error:
        raise CeleriacError(
            "Nobody can wait: there is no result backend. Set CELERY_RESULT_BACKEND."
        ) from error
    state = result.state
    if result.successful():
        _say(options, result, state, value)
        return 0
    _say(options, result, state, error=readable.error(type(value).__name__, str(value)))
    return 1


def _say(
    options: Namespace, result: Any, state: str | None, value: Any = None, error: str | None = None
) -> None:
    if options.json:
        output.document(
            {"task_id": result.id, "state": state, "result": output.as_json(value), "error": error}
        )
        return
    output.line(result.id)
    if error is not None:
        output.foreign(f"{state} {error}")
    elif state is not None:
        output.foreign(f"{state} {value!r}" if state in states.READY_STATES else state)


def _arguments(parser: ArgumentParser) -> None:
    arguments.add(parser)
    parser.add_argument("--countdown", type=_seconds, metavar="SECONDS", help="not before so many seconds")
    parser.add_argument(
        "--eta", type=_moment, metavar="TIME", help="not before this moment, as ISO 8601 has it"
    )
    parser.add_argument(
        "--expires", type=_moment_or_seconds, metavar="TIME", help="not after it, or so many seconds"
    )
    parser.add_argument("--queue", "-q", help="into this queue")
    parser.add_argument("--priority", type=_priority, metavar="0-9", help="9 goes first; on Redis 0")
    parser.add_argument("--serializer", help="for its arguments (as the task has it)")
    parser.add_argument("--exchange", help="by this exchange")
    parser.add_argument("--routing-key", metavar="KEY", help="by this routing key")
    parser.add_argument("--wait", type=_seconds, metavar="SECONDS", help="wait so long for what it comes to")
    parser.add_argument("--unknown", action="store_true", help="send it whatever its name is")


def _priority(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > _HIGHEST:
        raise ArgumentTypeError(f"{text!r} is no priority from 0 to {_HIGHEST}")
    return int(text)


def _moment(text: str) -> datetime:
    try:
        found: datetime | None = maybe_iso8601(text)
    except ValueError:
        found = None
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no moment; write 2026-11-26T12:00:00Z")
    return found


def _moment_or_seconds(text: str) -> datetime | float:
    return _seconds(text) if _is_number(text) else _moment(text)


def _seconds(text: str) -> float:
    """Not `nan`, for which nobody waits long enough, and nothing that is behind the end of time."""
    if not _is_number(text) or not abs(found := float(text)) < _LONGEST_SECONDS:
        raise ArgumentTypeError(f"{text!r} is no number of seconds")
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


COMMAND = Command(
    "call",
    "Sends a task and prints its id; with --wait also what it returned or raised. The exit code is then 1\n"
    "for a failure and 124 where it did not end in time.",
    "call mail.send 42 subject=Hello --wait 10",
    _work,
    _arguments,
)
