"""`manage.py celery run NAME …`: run a task in this process, to see what it does and where it fails."""

import pdb  # noqa: T100 - it is what --pdb is for
import time
import traceback
from argparse import ArgumentParser, Namespace
from contextlib import nullcontext
from typing import Any

from celery import Celery

from celeriac.cli import arguments, output
from celeriac.cli.command import Command
from celeriac.errors import CeleriacError
from celeriac.selectors import readable


def _work(app: Celery, options: Namespace) -> int:
    """0: it returned; 1: it raised, with the traceback on the error stream."""
    wanted = arguments.call_of(options)
    task = arguments.known(app, wanted.name)
    if task is None:
        raise CeleriacError(f"There is no task {wanted.name!r}. They are listed by: celery discovered")
    arguments.check(task, wanted)
    began = time.perf_counter()
    # On the output is the document alone, whatever the task prints.
    with output.kept_clean() if options.json else nullcontext():
        value, error = _run(app, task, wanted)
    seconds = time.perf_counter() - began
    if error is not None:
        _say_error(options, error, seconds)
        if options.pdb:
            pdb.post_mortem(error.__traceback__)
        return 1
    if options.json:
        _document(seconds, result=output.as_json(value))
    else:
        output.foreign(repr(value))
    _say_time(options, seconds)
    return 0


def _run(app: Celery, task: Any, wanted: arguments.Call) -> tuple[Any, BaseException | None]:
    """What it returned, or raised: nothing is published by it, as what it calls runs here too."""
    before = app.conf.task_always_eager, app.conf.task_eager_propagates
    app.conf.task_always_eager = app.conf.task_eager_propagates = True
    try:
        return task.apply(wanted.args, wanted.kwargs, throw=True).result, None
    except Exception as error:  # noqa: BLE001 - whatever the task raises is told
        return None, error
    finally:
        app.conf.task_always_eager, app.conf.task_eager_propagates = before


def _say_error(options: Namespace, error: BaseException, seconds: float) -> None:
    lines = "".join(traceback.format_exception(error)).splitlines()
    if options.json:
        shown = f"{type(error).__name__}: {error}"
        _document(seconds, error=shown, traceback=lines)
        return
    for line in lines:
        output.foreign(line, is_error=True)
    _say_time(options, seconds)


def _document(
    seconds: float, *, result: Any = None, error: str | None = None, traceback: list[str] | None = None
) -> None:
    """The same keys whatever came of it."""
    output.document({"result": result, "error": error, "traceback": traceback, "seconds": round(seconds, 6)})


def _say_time(options: Namespace, seconds: float) -> None:
    if options.time and not options.json:
        output.error(f"ran {readable.in_words(seconds)}")


def _arguments(parser: ArgumentParser) -> None:
    arguments.add(parser)
    parser.add_argument("--pdb", action="store_true", help="look around where it raised")
    parser.add_argument("--time", action="store_true", help="say how long it ran")


COMMAND = Command(
    "run",
    "Runs a task in this process and prints what it returns, or the whole traceback with exit code 1.\n"
    "Nothing is published and no row is written: a task that it calls runs in this process, too.",
    "run mail.send 42 subject=Hello --pdb",
    _work,
    _arguments,
)
