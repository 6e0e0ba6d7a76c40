"""The name and the arguments of a task on a command line: JSON as Celery has it, or words and `key=value`."""

import json
import re
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from celery import Celery

from celeriac.cli import output
from celeriac.errors import CeleriacError

_NAMED = re.compile(r"([^\W\d]\w*)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be called, with what."""

    name: str
    args: list[Any]
    kwargs: dict[str, Any]


def add(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="the task's name, as `celery discovered` lists it")
    parser.add_argument(
        "words",
        nargs="*",
        # Without one argparse names it among what is missing.
        default=[],
        metavar="VALUE",
        help="an argument, or key=value; JSON where it can be read as such",
    )
    parser.add_argument("--args", "-a", metavar="JSON", default="[]", help="a list of arguments")
    parser.add_argument(
        "--kwargs", "-k", metavar="JSON", default="{}", help="an object with arguments by name"
    )


def call_of(options: Namespace) -> Call:
    """What these options say. Raises CeleriacError."""
    args = _json(options.args, list, "--args is a list as JSON: --args '[1, 2]'")
    kwargs = _json(options.kwargs, dict, "--kwargs is an object as JSON: --kwargs '{\"user_id\": 7}'")
    for word in options.words:
        if named := _NAMED.fullmatch(word):
            kwargs[named[1]] = _value(named[2])
        else:
            args.append(_value(word))
    return Call(options.name, args, kwargs)


def known(app: Celery, name: str) -> Any:
    """The task with this name, all task files being imported; None: there is none here.

    Raises CeleriacError for a name that is nearly one of a task.
    """
    app.loader.import_default_modules()
    app.finalize()
    if name in app.tasks:
        return app.tasks[name]
    ours = [each for each in app.tasks if not each.startswith("celery.")]
    by_end = [each for each in ours if each.rpartition(".")[2] == name]
    if near := by_end or get_close_matches(name, ours, n=1, cutoff=0.8):
        raise CeleriacError(f"There is no task {name!r}. Did you mean {near[0]}?")
    return None


def check(task: Any, wanted: Call) -> None:
    """Raise CeleriacError for arguments that the task does not take, as its `apply_async` does."""
    header = getattr(task, "__header__", None) if task.typing else None
    try:
        if header is not None:
            header(*wanted.args, **wanted.kwargs)
    except TypeError as error:
        raise refused(wanted.name, error) from error


def refused(name: str, error: TypeError) -> CeleriacError:
    return CeleriacError(f"{name} does not take these arguments: {error}.")


def warn_of_unknown(app: Celery, name: str) -> Any:
    """As `known`, and say so where there is none: somebody else's worker may know it."""
    task = known(app, name)
    if task is None:
        output.error(f"No task {name!r} is known here: another project's worker must know it.")
    return task


def _json(text: str, kind: type, advice: str) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CeleriacError(f"{advice}. It cannot be read: {error}.") from error
    if not isinstance(found, kind):
        raise CeleriacError(f"{advice}.")
    return found


def _no_json(word: str) -> Any:
    """NaN and Infinity are a text: JSON has no such numbers."""
    raise ValueError(word)


def _value(word: str) -> Any:
    """A number, true, a list: what JSON is; everything else is a text."""
    try:
        return json.loads(word, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return word
