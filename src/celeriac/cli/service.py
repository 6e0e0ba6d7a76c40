"""`manage.py celery service`: files with which supervisord, systemd and others run this project's workers."""

from argparse import REMAINDER, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from celery import Celery

from celeriac.cli import output
from celeriac.cli.command import Command
from celeriac.cli.start_options import seconds_of
from celeriac.errors import CeleriacError
from celeriac.services.plan import File, Plan
from celeriac.services.project import Wishes, plan_for
from celeriac.services.render import FORMATS, render
from celeriac.services.stop_time import Limits
from celeriac.services.writing import Written, write


def _work(app: Celery, options: Namespace) -> int:
    """Print the files or write them; what is to be known of them goes where errors go."""
    form = _form(options.format)
    plan = plan_for(app, _wishes(options))
    files = render(plan, form)
    written = write(files, Path(options.write), is_forced=options.force) if options.write else None
    if options.json:
        output.document(_document(plan, form, files, written))
        return 0
    if written is None:
        _show(files)
    else:
        output.table(("file", "was"), [(str(each.path), each.did) for each in written])
    for remark in _remarks(plan):
        output.error(remark)
    return 0


def _wishes(options: Namespace) -> Wishes:
    return Wishes(
        name=options.name,
        user=options.user,
        queues=options.queues,
        concurrency=options.concurrency,
        instances=options.instances,
        env=options.env,
        env_file=options.env_file,
        stop_seconds=options.stop_seconds,
        logs=options.logs,
        more=options.more,
        limits=_limits(options.more),
    )


def _limits(words: Sequence[str]) -> Limits:
    """Raises CeleriacError for one that is no time: the worker would not start."""
    return Limits(
        hard=seconds_of(words, "--time-limit"),
        soft=seconds_of(words, "--soft-time-limit"),
        graceful=seconds_of(words, "--graceful"),
    )


def _form(words: Sequence[str]) -> str:
    """The format that is meant; Docker's tool has two words. Raises CeleriacError."""
    name = " ".join(words)
    if name == "docker compose":
        return "docker"
    if name not in FORMATS:
        near = get_close_matches(name, FORMATS, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise CeleriacError(f"service: no format {name!r}.{meant} The formats: {', '.join(FORMATS)}.")
    return name


def _show(files: Sequence[File]) -> None:
    for number, file in enumerate(files):
        if len(files) > 1:
            output.line(f"{'' if number == 0 else chr(10)}# ==> {file.name} <==")
        output.line(file.text.rstrip("\n"))


def _remarks(plan: Plan) -> list[str]:
    return [*plan.remarks, *plan.missing, *([plan.stop.reason] if plan.stop.is_too_short else [])]


def _document(
    plan: Plan, form: str, files: Sequence[File], written: Sequence[Written] | None
) -> dict[str, Any]:
    found = (
        [(None, None)] * len(files) if written is None else [(str(each.path), each.did) for each in written]
    )
    return {
        "format": form,
        "name": plan.name,
        "user": plan.user,
        "directory": str(plan.directory),
        "stop_seconds": plan.stop.seconds,
        "files": [
            {"name": file.name, "text": file.text, "path": path, "was": did}
            for file, (path, did) in zip(files, found, strict=True)
        ],
        "remarks": _remarks(plan),
    }


def _above_zero(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("format", nargs="+", help=f"{', '.join(FORMATS)}")
    parser.add_argument("--write", metavar="DIR", help="write the files there instead of printing them")
    parser.add_argument("--force", action="store_true", help="replace files that are there and differ")
    parser.add_argument("--name", help="of the service (default: the project's, and -worker)")
    parser.add_argument("--user", help="who runs the tasks (default: you; for root the project's owner)")
    parser.add_argument(
        "--queues", action="append", default=[], metavar="a,b", help="given twice: two workers"
    )
    parser.add_argument(
        "--concurrency", type=_above_zero, metavar="N", help="tasks at a time, of each worker"
    )
    parser.add_argument("--instances", type=_above_zero, default=1, metavar="N", help="workers of each kind")
    parser.add_argument("--env", action="append", default=[], metavar="NAME[=VALUE]", help="another variable")
    parser.add_argument("--env-file", metavar="FILE", help="NAME=value lines, for secrets")
    parser.add_argument(
        "--stop-seconds", type=_above_zero, metavar="N", help="how long a stop waits for tasks"
    )
    parser.add_argument("--logs", metavar="DIR", help="where supervisord and launchd write what it prints")
    parser.add_argument(
        "--with",
        nargs=REMAINDER,
        default=[],
        dest="more",
        metavar="OPTION",
        help="last: options of `celery start`",
    )


COMMAND = Command(
    "service",
    "Prints, or with --write writes, the files with which supervisord, systemd, docker compose, launchd or\n"
    "a Procfile run this project's workers: its paths, user and environment, and a stop that waits for\n"
    "the tasks that run.",
    "service systemd --user www-data --write /etc/systemd/system",
    _work,
    _arguments,
)
