"""`manage.py celery start`: the worker, with a banner that says what was decided and why."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from celery import Celery, signals

from celeriac import discovery
from celeriac.cli import banner, celerys_worker, output, reloaded, reloading, start_options, task_log
from celeriac.cli.words import value_of, without
from celeriac.errors import CeleriacError
from celeriac.worker import platform, preflight, scheduling, time_to_stop

_POOL = ("-P", "--pool")
_START_METHOD = ("--pool-start-method",)
_START_METHODS = ("fork", "spawn")
_CONCURRENCY = ("-c", "--concurrency")
_LEVEL = ("-l", "--loglevel")
_BEAT, _NO_BEAT = ("-b", "--beat", "-B"), "--no-beat"
_SCHEDULER = ("--scheduler",)

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
  --graceful SECONDS       when it is to stop, running tasks have so long; then they are given back
  --reload, --no-reload    start again when code changes (default: with DEBUG, on a terminal)
  --reload-timeout SECONDS so long a running task may hold that up (10); then it is given back

and every other option of Celery's worker: manage.py celery worker --help

Example: python manage.py celery start --concurrency 4
"""


def run(app: Celery, arguments: Sequence[str]) -> int:
    """Start the worker and stay until it ends; its exit code. Raises CeleriacError before it starts."""
    if {"-h", "--help"} & set(arguments):
        output.line(HELP)
        return 0
    asked, words = start_options.split(arguments)
    found = preflight.inspect(app)
    reloader = reloaded.taken()
    if reloader is None and reloading.is_wanted(asked.reload, words):
        return reloading.run(asked.reload_timeout_seconds)
    return _run_worker(app, words, asked=asked, found=found, reloader=reloader)


def _run_worker(
    app: Celery,
    words: Sequence[str],
    *,
    asked: start_options.StartOptions,
    found: preflight.Preflight,
    reloader: reloaded.Reloader | None,
) -> int:
    options = _with_beat(app, words, found)
    if reloader is not None:
        _follow(app, reloader)
    if task_log.is_wanted(app, options):
        task_log.install()
    decision = prepare(app, options)
    # It is in force by now, and Celery before 5.7 has no such option.
    options = without(options, _START_METHOD)
    if decision.pool != (_chosen_pool(app, options) or "prefork"):
        options += ["--pool", decision.pool]
    if value_of(options, _LEVEL) is None:
        options += ["--loglevel", "info"]
    if asked.graceful_seconds is not None:
        time_to_stop.limit(app, asked.graceful_seconds)
    if reloader is None or reloader.is_first:
        show = partial(_show_banner, app, found, decision, is_watched=reloader is not None)
        signals.celeryd_after_setup.connect(show, weak=False, dispatch_uid="celeriac.banner")
    return celerys_worker.run(app, options)


def _with_beat(app: Celery, arguments: Sequence[str], found: preflight.Preflight) -> list[str]:
    """The options with Celery's own for a scheduler in this worker, if it is to have one."""
    options = [argument for argument in arguments if argument not in {*_BEAT, _NO_BEAT}]
    is_asked_for = len(options) < len(arguments) - arguments.count(_NO_BEAT)
    # Another's may be in one worker alone, which only whoever starts them knows.
    is_named = value_of(options, _SCHEDULER) is not None or scheduling.named_elsewhere(app) is not None
    is_default = not is_named and scheduling.is_possible(app, found)
    return ["-B", *options] if is_asked_for or (is_default and _NO_BEAT not in arguments) else options


def _follow(app: Celery, reloader: reloaded.Reloader) -> None:
    """Raises TaskFileError when the reloader knows of it: the next edit may mend it."""
    try:
        discovery.discover()
    except CeleriacError as error:
        reloader.broken(error)
        raise
    reloader.wait_for_turn()
    reloader.follow(app)


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
    *,
    is_watched: bool,
    instance: Any,
    **_: Any,
) -> None:
    for text in banner.lines(app, instance, found, decision, is_watched=is_watched):
        output.line(text)
