"""`manage.py celery start`: the worker, with a banner that says what was decided and why."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from celery import Celery, signals

from celeriac.cli import banner, engine, output
from celeriac.cli.words import value_of, without
from celeriac.errors import CeleriacError
from celeriac.worker import platform, preflight, scheduling

_POOL = ("-P", "--pool")
_START_METHOD = ("--pool-start-method",)
_START_METHODS = ("fork", "spawn")
_CONCURRENCY = ("-c", "--concurrency")
_LEVEL = ("-l", "--loglevel")
_BEAT, _NO_BEAT = ("-b", "--beat", "-B"), "--no-beat"

HELP = """\
manage.py celery start [options]

Runs the project's tasks and its schedule; of any number of workers that do so each due time fires one task.
Ctrl-C finishes the running tasks; a second one stops at once.

  --no-beat                leave the schedule to others
  -b, --beat               with the schedule (default, unless CELERY_BEAT_SCHEDULER names another scheduler)
  -P, --pool POOL          prefork, threads, solo (default: what suits the platform)
  --pool-start-method M    fork, spawn: how prefork's processes begin (default: what suits the platform)
  -c, --concurrency N      tasks at the same time (default: one per core)
  -Q, --queues a,b         only these queues
  -n, --hostname NAME      node name, for several workers on one host: -n two@%h
  -l, --loglevel LEVEL     debug, info (default), warning, error
  -D, --detach             in the background, with --pidfile FILE and --logfile FILE

and every other option of Celery's worker: manage.py celery worker --help

Example: python manage.py celery start --concurrency 4
"""


def run(app: Celery, arguments: Sequence[str]) -> int:
    """Start the worker and stay until it ends; its exit code. Raises CeleriacError before it starts."""
    if {"-h", "--help"} & set(arguments):
        output.line(HELP)
        return 0
    found = preflight.inspect(app)
    options = _with_beat(app, arguments, found)
    decision = prepare(app, options)
    # It is in force by now, and Celery before 5.7 has no such option.
    options = without(options, _START_METHOD)
    if decision.pool != (_chosen_pool(app, options) or "prefork"):
        options += ["--pool", decision.pool]
    if value_of(options, _LEVEL) is None:
        options += ["--loglevel", "info"]
    show = partial(_show_banner, app, found, decision)
    signals.celeryd_after_setup.connect(show, weak=False, dispatch_uid="celeriac.banner")
    return engine.run(app, ["--quiet", "worker", *options])


def _with_beat(app: Celery, arguments: Sequence[str], found: preflight.Preflight) -> list[str]:
    """The options with Celery's own for a scheduler in this worker, if it is to have one."""
    options = [argument for argument in arguments if argument not in {*_BEAT, _NO_BEAT}]
    is_asked_for = len(options) < len(arguments) - arguments.count(_NO_BEAT)
    is_default = scheduling.named_elsewhere(app) is None and scheduling.is_possible(app, found)
    return ["-B", *options] if is_asked_for or (is_default and _NO_BEAT not in arguments) else options


def prepare(app: Celery, options: Sequence[str]) -> platform.Decision:
    """Decide how this platform starts the pool, and prepare the process for it. Raises CeleriacError."""
    count = value_of(options, _CONCURRENCY)
    decision = platform.decide_here(
        pool=_chosen_pool(app, options),
        start_method=_chosen_start_method(app, options),
        concurrency=int(count) if count and count.isdigit() else None,
    )
    platform.apply(decision, app)
    return decision


def _chosen_pool(app: Celery, options: Sequence[str]) -> str | None:
    return value_of(options, _POOL) or platform.chosen_in_settings(app, "worker_pool")


def _chosen_start_method(app: Celery, options: Sequence[str]) -> str | None:
    chosen = value_of(options, _START_METHOD)
    if chosen is None:
        return platform.chosen_in_settings(app, "worker_pool_start_method")
    if chosen not in _START_METHODS:
        raise CeleriacError(f"--pool-start-method {chosen!r} is unknown. Use {' or '.join(_START_METHODS)}.")
    return chosen


def _show_banner(
    app: Celery,
    found: preflight.Preflight,
    decision: platform.Decision,
    instance: Any,
    **_: Any,
) -> None:
    for text in banner.lines(app, instance, found, decision):
        output.line(text)
