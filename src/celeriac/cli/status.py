"""`manage.py celery status`: workers, queues and pace on one screen, with Celery's lines of the nodes."""

import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any

from celery import Celery

from celeriac.cli import output
from celeriac.cli.command import Command
from celeriac.results.backend import DatabaseBackend
from celeriac.selectors import pace, places, queues, schedules, verdicts, workers
from celeriac.selectors.readable import in_words
from celeriac.worker import scheduling

_OK, _WARNING, _CRITICAL, _NOBODY = 0, 1, 2, 69
_COLOURS = {"ok": "green", verdicts.WARNING: "yellow", verdicts.CRITICAL: "red"}
_START = "python manage.py celery start"
#: Celery's own patience.
_TIMEOUT_SECONDS = 1.0
#: A scheduler that is up is not that late.
_LATE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found."""

    #: As Celery's own `status --json` has them.
    nodes: dict[str, Any]
    workers: list[workers.WorkerState]
    queues: list[queues.QueueState]
    problems: list[verdicts.Problem]
    #: None: results are in no database.
    pace: pace.Pace | None
    #: None: no worker has ever carried it, or CELERY_BEAT_SCHEDULER names another scheduler.
    schedule: schedules.Outlook | None

    @property
    def level(self) -> str:
        """The worst of all."""
        return self.problems[0].level if self.problems else "ok"

    @property
    def code(self) -> int:
        """The exit code."""
        if not self.nodes:
            return _NOBODY
        return {"ok": _OK, verdicts.WARNING: _WARNING, verdicts.CRITICAL: _CRITICAL}[self.level]


def _work(app: Celery, options: Namespace) -> int:
    code = _once(app, options)
    try:
        while options.watch is not None:
            time.sleep(options.watch)
            code = _once(app, options)
    except KeyboardInterrupt:
        pass  # The end of watching.
    return code


def _once(app: Celery, options: Namespace) -> int:
    look = _look(app, options)
    if options.watch is not None:
        output.clear()
    if options.json:
        output.document(_document(look))
    else:
        for text in _lines(look):
            output.line(text)
    return look.code


def _look(app: Celery, options: Namespace) -> Look:
    found = [each for each in workers.workers(app) if each.pool]
    states = queues.queues(app)
    living = [each for each in found if each.is_alive]
    return Look(
        nodes=_nodes(app, options, living),
        workers=living,
        queues=[each for each in states if _is_of_interest(each, living)],
        problems=verdicts.problems(states, found),
        pace=pace.pace() if isinstance(app.backend, DatabaseBackend) else None,
        schedule=None if scheduling.named_elsewhere(app) is not None else schedules.outlook(app),
    )


def _is_of_interest(queue: queues.QueueState, living: list[workers.WorkerState]) -> bool:
    is_read = any(queue.name in worker.queues for worker in living)
    return bool(is_read or queue.waiting or queue.scheduled or queue.claimed or queue.is_paused)


def _nodes(app: Celery, options: Namespace, living: list[workers.WorkerState]) -> dict[str, Any]:
    """From the workers' rows; they are asked where they have none, or an option of Celery's says so."""
    is_asked = options.timeout is not None or options.destination is not None
    if places.of_workers(app) is not None and not is_asked:
        return {worker.node: {"ok": "pong"} for worker in living}
    timeout = _TIMEOUT_SECONDS if options.timeout is None else options.timeout
    return app.control.inspect(timeout=timeout, destination=options.destination).ping() or {}


def _document(look: Look) -> dict[str, Any]:
    return {
        "status": look.level if look.nodes else "no worker",
        "problems": [asdict(each) for each in look.problems],
        "nodes": look.nodes,
        "workers": [_worker(each) for each in look.workers],
        "queues": [asdict(each) for each in look.queues],
        "pace": None if look.pace is None else asdict(look.pace),
        "schedule": None if look.schedule is None else asdict(look.schedule),
    }


def _worker(worker: workers.WorkerState) -> dict[str, Any]:
    return {
        "node": worker.node,
        "host": worker.host,
        "pid": worker.pid,
        "pool": worker.pool,
        "concurrency": worker.concurrency,
        "busy": len(worker.running),
        "queues": list(worker.queues),
        "heartbeat_age_seconds": worker.heartbeat_age_seconds,
    }


def _lines(look: Look) -> Iterator[str]:
    if not look.nodes:
        answer = "none of those asked has answered" if look.workers else f"start one: {_START}"
        yield f"{output.coloured('NO WORKER', 'red')}  {answer}"
    for problem in look.problems:
        yield f"{output.coloured(problem.level.upper(), _COLOURS[problem.level])}  {problem.text}"
    if look.nodes and not look.problems:
        # Not in capitals: scripts count the OK of Celery's lines.
        yield f"{output.coloured('all is well', 'green')}"
    yield f"workers  {_all_workers(look)}"
    yield f"queues   {' · '.join(map(_queue, look.queues)) or 'none'}"
    if look.pace is not None:
        yield f"tasks    {_pace(look.pace)}"
    if look.schedule is not None:
        yield f"schedule {_schedule(look.schedule)}"
    for node in sorted(look.nodes):
        yield f"->  {node}: OK"
    number = len(look.nodes)
    yield "No nodes replied within time constraint" if not number else _online(number)


def _online(number: int) -> str:
    return f"\n{number} {'node' if number == 1 else 'nodes'} online."


def _all_workers(look: Look) -> str:
    each = [
        f"{worker.node} {worker.pool} {len(worker.running)}/{worker.concurrency} busy"
        for worker in look.workers
    ]
    return f"{len(look.nodes)} up{'   ' if each else ''}{' · '.join(each)}"


def _queue(queue: queues.QueueState) -> str:
    parts = [f"{'?' if queue.waiting is None else format(queue.waiting, ',')} waiting"]
    parts += [f"{queue.claimed:,} taken"] if queue.claimed else []
    parts += [f"{queue.scheduled:,} for later"] if queue.scheduled else []
    parts += [f"oldest {in_words(queue.oldest_waiting_seconds)}"] if queue.oldest_waiting_seconds else []
    parts += [f"{queue.dead_letters:,} dead"] if queue.dead_letters else []
    return f"{queue.name}{' PAUSED' if queue.is_paused else ''} {', '.join(parts)}"


def _pace(found: pace.Pace) -> str:
    ended = found.succeeded + found.failed
    share = f" ({100 * found.failed / ended:.2f} %)" if found.failed else ""
    took = "" if found.run_seconds_p95 is None else f", p95 run {in_words(found.run_seconds_p95)}"
    rates = f"in {found.published_per_second:.1f}/s, out {found.ended_per_second:.1f}/s"
    return f"last hour {found.succeeded:,} ok, {found.failed:,} failed{share}{took} · last minute {rates}"


def _schedule(found: schedules.Outlook) -> str:
    parts = [f"{found.entries} {'entry' if found.entries == 1 else 'entries'}"]
    if found.beat is not None:
        parts += [f"those of the settings left to `celery beat` ({found.beat})"]
    if not found.is_carried:
        return f"{', '.join(parts)}, which no worker carries"
    if found.late_seconds > _LATE_SECONDS:
        parts += [f"{found.next_name!r} overdue for {in_words(found.late_seconds)}"]
    elif found.next_due is not None:
        seconds = (found.next_due - datetime.now(UTC)).total_seconds()
        parts += [f"next {found.next_name!r} in {in_words(max(0.0, seconds))}"]
    return ", ".join(parts)


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < inf:
        raise ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return found


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=2.0,
        metavar="S",
        help="again every S seconds (2), until Ctrl-C",
    )
    parser.add_argument(
        "-t", "--timeout", type=_seconds, metavar="S", help="ask the workers, and wait so long for answers"
    )
    parser.add_argument(
        "-d",
        "--destination",
        type=lambda given: given.split(","),
        metavar="NODES",
        help="ask these, with commas between",
    )


COMMAND = Command(
    "status",
    "Workers, queues and pace on one screen. Exit code 0: all is well, 1: a warning, 2: critical,\n"
    "69: no worker. With --timeout or --destination the workers are asked, as by Celery's own status.",
    "status --watch 5",
    _work,
    _arguments,
)
