"""The log for people who write tasks: a line for each, with how long it took and where it failed.

It changes how Celery's records are shown, not what is logged; each process of the pool shows its own.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from celery import Celery, signals
from celery.apps import worker as program
from celery.worker import state
from django.conf import settings

from celeriac.cli import output, printed
from celeriac.cli.words import PROGRAM, value_of
from celeriac.discovery.root import ENVIRONMENTS
from celeriac.worker import platform

#: Set for the spawned processes of a pool, which set up their logs by themselves.
ENVIRONMENT = "CELERIAC_TASK_LOG"
_UID = "celeriac.task_log"
_FORMATS = ("worker_log_format", "worker_task_log_format", "worker_log_datefmt")
_OPTIONS = ("-l", "--loglevel"), ("-f", "--logfile")
#: What a worker tells of itself, and of tasks that it has not run.
_NOISE = ("celery.worker.strategy", "celery.worker.consumer")
_TASKS = "celery.app.trace"
_FRAME = re.compile(r'^\s*File "([^"\n]+)", line (\d+)', re.MULTILINE)
#: Their records tell of texts that anybody may have put into a message or a row.
_RELAYING = ("celery.", "celeriac.")
#: What tasks print: its colours are the project's own.
_PRINTED = "celery.redirected"
_NAME_WIDTH, _MOST_TEXT = 24, 160
#: Celeriac's own files, where they do not lie among installed packages.
_OURS = Path(__file__).parents[1]

_SAID_OTHERWISE = ("worker: Warm shutdown", "worker: Cold shutdown", "worker: Hitting Ctrl+C again will")

_began: dict[str, float] = {}
_celerys_say = program.safe_say


def is_wanted(app: Celery, options: Sequence[str]) -> bool:
    """Whether somebody at a terminal writes tasks, and has not said how the log is to be."""
    if not settings.DEBUG or not output.is_terminal():
        return False
    is_chosen = any(value_of(options, names) is not None for names in _OPTIONS)
    return not is_chosen and not any(platform.chosen_in_settings(app, name) for name in _FORMATS)


def install() -> None:
    """From now on show records so, in this process and in those of its pool; may be called twice."""
    os.environ[ENVIRONMENT] = "1"
    signals.after_setup_logger.connect(_show_so, dispatch_uid=f"{_UID}.logger")
    signals.after_setup_task_logger.connect(_show_so, dispatch_uid=f"{_UID}.tasks")
    signals.task_prerun.connect(_before_task, dispatch_uid=f"{_UID}.before")
    signals.task_postrun.connect(_after_task, dispatch_uid=f"{_UID}.after")
    signals.worker_shutting_down.connect(_stopping, dispatch_uid=f"{_UID}.stopping")
    program.safe_say = _say
    printed.install()


def _show_so(logger: logging.Logger, **_: Any) -> None:
    for handler in logger.handlers:
        handler.setFormatter(Lines())
        handler.addFilter(_is_shown)


def _is_shown(record: logging.LogRecord) -> bool:
    return record.levelno > logging.INFO or not record.name.startswith(_NOISE)


def _before_task(task_id: str, **_: Any) -> None:
    _began[task_id] = time.monotonic()


def _after_task(task_id: str, **_: Any) -> None:
    _began.pop(task_id, None)


def _stopping(sig: str, how: str, **_: Any) -> None:
    # Before it tells of a cold shutdown Celery has forgotten what runs.
    running = len(state.active_requests)
    if how != "Warm":
        what = "what still runs is cut short: it begins again in another worker, if it may run twice"
    elif running:
        what = f"waiting for {running} running task{'' if running == 1 else 's'} (Ctrl-C: stop now)"
    else:
        what = "stopping"
    # "^C" stands in the line.
    start = "\n" if sig == "SIGINT" else ""
    _write(f"{start}{_now()}    {what}")


def _say(text: str, stream: Any = sys.__stderr__) -> None:
    """In place of what Celery says of its end, `_stopping` has told what is waited for, or cut short."""
    if not text.startswith(_SAID_OTHERWISE):
        _celerys_say(text, stream)


def _write(text: str) -> None:
    if sys.__stdout__ is not None:
        # A signal's handler: `print` may be at work below it.
        os.write(sys.__stdout__.fileno(), f"{text}\n".encode())


class Lines(logging.Formatter):
    """A record as a line, of tasks with their duration; tracebacks of other records stand below theirs."""

    def format(self, record: logging.LogRecord) -> str:
        task = getattr(record, "data", None)
        if record.name == _TASKS and isinstance(task, dict) and {"id", "name"} <= set(task):
            return _of_task(record, task)
        return _of_other(record, self)


def _of_task(record: logging.LogRecord, task: dict[str, Any]) -> str:
    sign, colour, text = _end_of(record, task)
    seconds = task.get("runtime")
    if seconds is None and task["id"] in _began:
        seconds = time.monotonic() - _began[task["id"]]
    ran = "" if seconds is None else f"ran {shown_seconds(seconds)}"
    mark = output.coloured(sign, colour, on=sys.__stderr__)
    line = f"{_now()}  {mark} {task['name']:<{_NAME_WIDTH}}  #{task['id'][:8]}  {ran:<11}  {text}"
    return line.rstrip()


def _end_of(record: logging.LogRecord, task: dict[str, Any]) -> tuple[str, str, str]:
    if "runtime" in task:
        return "✓", "green", ""
    text = _short(str(task.get("exc", "")))
    if record.levelno < logging.WARNING:
        return "↺", "yellow", text or str(task.get("description", ""))
    place = _place(str(task.get("traceback", "")))
    told = f"{_error(record) or text} {place}".rstrip()
    return "✗", "red", f"{told}  → {PROGRAM} tasks show {task['id'][:8]}"


def _error(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return ""
    return _short(f"{type(error).__name__}: {error}".removesuffix(": "))


def _place(traceback: str) -> str:
    """The innermost line of the project's own."""
    own = [found for found in _FRAME.findall(traceback) if _is_own(Path(found[0]))]
    if not own:
        return ""
    file, line = Path(own[-1][0]), own[-1][1]
    here = Path.cwd()
    shown = file.relative_to(here) if file.is_relative_to(here) else file.name
    return _short(f"({shown}:{line})")


def _is_own(file: Path) -> bool:
    return not ENVIRONMENTS & set(file.parts) and not file.is_relative_to(_OURS)


def _of_other(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    colour = "red" if record.levelno >= logging.ERROR else "yellow"
    text = record.getMessage()
    traceback = f"\n{formatter.formatException(record.exc_info)}" if record.exc_info else ""
    if record.name.startswith(_RELAYING) and record.name != _PRINTED:
        text, traceback = _without_controls(text), _without_controls(traceback)
    if record.levelno >= logging.WARNING and record.name != _PRINTED:
        text = output.coloured(text, colour, on=sys.__stderr__)
    return f"{_now()}    {text}{traceback}"


def _without_controls(text: str) -> str:
    """Nothing but its lines and tabs moves the cursor."""
    return "".join(each for each in text if each.isprintable() or each in "\n\t")


def shown_seconds(seconds: float) -> str:
    """A duration in the unit that people would say it in."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} m {int(seconds % 60)} s"


def _short(text: str) -> str:
    line = output.in_one_line(" ".join(text.split()))
    return line if len(line) <= _MOST_TEXT else f"{line[: _MOST_TEXT - 1]}…"


def _now() -> str:
    return f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005 - by the clock of whoever sits here
