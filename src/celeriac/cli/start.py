"""`manage.py celery start`: the worker, with a banner that says what was decided and why."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from celery import Celery, signals

from celeriac.cli import banner, engine, output
from celeriac.worker import platform, preflight

_POOL = ("-P", "--pool")
_START_METHOD = ("--pool-start-method",)
_CONCURRENCY = ("-c", "--concurrency")
_LEVEL = ("-l", "--loglevel")

HELP = """\
manage.py celery start [options]

Runs the project's tasks, and with --beat its schedule too. Ctrl-C finishes the running tasks; a second
one stops at once.

  -b, --beat               run the scheduler in this worker
  -P, --pool POOL          prefork, threads, solo (default: what suits the platform)
  -c, --concurrency N      tasks at the same time (default: one per core)
  -Q, --queues a,b         only these queues
  -n, --hostname NAME      node name, for several workers on one host: -n two@%h
  -l, --loglevel LEVEL     debug, info (default), warning, error

and every other option of Celery's worker: manage.py celery worker --help

Example: python manage.py celery start --beat --concurrency 4
"""


def run(app: Celery, arguments: Sequence[str]) -> int:
    """Start the worker and stay until it ends; its exit code. Raises CeleriacError before it starts."""
    if {"-h", "--help"} & set(arguments):
        output.line(HELP)
        return 0
    found = preflight.inspect(app)
    options = ["-B" if argument in {"-b", "--beat"} else argument for argument in arguments]
    decision = prepare(app, options)
    if value_of(options, _POOL) is None:
        options += ["--pool", decision.pool]
    if value_of(options, _LEVEL) is None:
        options += ["--loglevel", "info"]
    show = partial(_show_banner, app, found, decision, "-B" in options)
    signals.celeryd_after_setup.connect(show, weak=False, dispatch_uid="celeriac.banner")
    return engine.run(app, ["--quiet", "worker", *options])


def prepare(app: Celery, options: Sequence[str]) -> platform.Decision:
    """Decide how this platform starts the pool, and prepare the process for it."""
    count = value_of(options, _CONCURRENCY)
    decision = platform.decide_here(
        pool=value_of(options, _POOL),
        start_method=value_of(options, _START_METHOD),
        concurrency=int(count) if count and count.isdigit() else None,
    )
    platform.apply(decision, app)
    return decision


def value_of(options: Sequence[str], names: Sequence[str]) -> str | None:
    """The value of an option in any of the ways that Celery reads it: -P x, -Px, --pool x, --pool=x."""
    for position, option in enumerate(options):
        for name in names:
            if option == name:
                return options[position + 1] if position + 1 < len(options) else None
            if option.startswith(f"{name}=") and name.startswith("--"):
                return option.partition("=")[2]
            if option.startswith(name) and not name.startswith("--"):
                return option.removeprefix(name).removeprefix("=")
    return None


def _show_banner(
    app: Celery,
    found: preflight.Preflight,
    decision: platform.Decision,
    has_beat: bool,
    instance: Any,
    **_: Any,
) -> None:
    for text in banner.lines(app, instance, found, decision, has_beat=has_beat):
        output.line(text)
