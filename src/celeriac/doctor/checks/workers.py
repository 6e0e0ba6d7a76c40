"""The workers: whether they live, and whether they are what this code is."""

import time
from collections.abc import Iterator
from typing import Any

from celeriac.conf import options
from celeriac.doctor.finding import Finding, Kind, Level
from celeriac.doctor.patient import Patient
from celeriac.worker import about

_SKEW_SECONDS = 5.0

NONE = Kind(
    "no-worker",
    Level.ERROR,
    "no worker is there",
    "Nothing that is sent runs.",
    "python manage.py celery service systemd, or supervisord, prints what keeps one running.",
    is_of_production=True,
)
SILENT = Kind(
    "worker-silent",
    Level.WARNING,
    "a worker has a row and gives no sign of life",
    "It was killed, or its host is gone, and no other worker is there to give its tasks back.",
    "Start a worker: it takes over what that one held.",
)
KILLED = Kind(
    "worker-killed",
    Level.WARNING,
    "a worker was killed within a day",
    "What it ran began again elsewhere; for want of memory, or by a supervisor that did not wait.",
    "See the log of its host (out of memory?) and the stop time of its service.",
)
MUTE = Kind(
    "worker-mute",
    Level.WARNING,
    "a worker lives and does not answer",
    "Its loop hangs, or it runs a task in the pool solo; what it holds waits.",
    "python -m celeriac.health on its host; restart it.",
)
VERSIONS = Kind(
    "versions-differ",
    Level.WARNING,
    "workers run with several versions of a package",
    "A task may succeed on one and fail on the other.",
    "Install the same everywhere, and restart the workers.",
)
OLD_CODE = Kind(
    "code-differs",
    Level.WARNING,
    "a worker has other code of tasks than this project has here",
    "It was started before the last deploy, or its host has another one.",
    "Restart the workers after each deploy.",
)
CLOCK = Kind(
    "worker-clock",
    Level.WARNING,
    "the clock of a worker's host differs",
    "Its tasks expire early or late, and the times in their rows are wrong.",
    "Let its host follow a time server (chrony, systemd-timesyncd).",
)
DEBUG = Kind(
    "worker-debug",
    Level.WARNING,
    "a worker runs with DEBUG",
    "Django remembers every query there, so that its memory grows.",
    "DEBUG = False in the worker's settings and environment.",
    is_of_production=True,
)
ROOT = Kind(
    "worker-root",
    Level.WARNING,
    "a worker runs as root",
    "A fault in a task or a library then has the whole host.",
    "Give its service a user of its own.",
    is_of_production=True,
)
KINDS = (NONE, SILENT, KILLED, MUTE, VERSIONS, OLD_CODE, CLOCK, DEBUG, ROOT)


def _lives(patient: Patient) -> Iterator[Finding]:
    can_tell = patient.workers_have_rows or patient.can_ask
    if can_tell and not (patient.living if patient.workers_have_rows else patient.told):
        yield NONE.found("No worker is there.")
    overdue = options().lost_after_seconds
    for worker in patient.workers:
        age, named = worker.heartbeat_age_seconds or 0.0, f"{worker.node} (pid {worker.pid} on {worker.host})"
        if not worker.is_alive and age > overdue and worker.id not in patient.lost:
            yield SILENT.found(f"{named} has given no sign of life for {age:.0f} s.")
        elif not worker.is_alive:
            yield KILLED.found(f"{named} ended without a farewell {age:.0f} s ago.")


def _answers(patient: Patient) -> Iterator[Finding]:
    for worker in patient.living if patient.can_ask else ():
        if worker.node not in patient.told:
            yield MUTE.found(f"{worker.node} (pid {worker.pid} on {worker.host}) lives and does not answer.")


def _versions(patient: Patient) -> Iterator[Finding]:
    here = about.about()["versions"]
    for package, version in here.items():
        found = {node: said["versions"].get(package) for node, said in _told(patient).items()}
        others = {node: other for node, other in found.items() if other != version}
        if others:
            node, other = min(others.items())
            yield VERSIONS.found(f"{node} has {package} {other}, and here it is {version}.")


def _code(patient: Patient) -> Iterator[Finding]:
    assert patient.task_names is not None  # They are imported.
    here = about.code_of(patient.app)
    others = sorted(node for node, said in _told(patient).items() if said["code"] not in {here, None})
    if others:
        yield OLD_CODE.found(f"The tasks of {', '.join(others)} are not those that are here.")


def _clocks(patient: Patient) -> Iterator[Finding]:
    # Whoever answers said so within the time that was waited.
    assert patient.told is not None
    now = time.time()
    for node, said in sorted(_told(patient).items()):
        ahead = float(said["now"]) - now
        if abs(ahead) > _SKEW_SECONDS:
            yield CLOCK.found(f"{node} is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}.")


def _processes(patient: Patient) -> Iterator[Finding]:
    for node, said in sorted(_told(patient).items()):
        if said["is_debug"]:
            yield DEBUG.found(f"{node} runs with DEBUG.")
        if said["is_root"]:
            yield ROOT.found(f"{node} runs as root.")


def _told(patient: Patient) -> dict[str, dict[str, Any]]:
    """Without those that do not know the question: of an older version, or without Celeriac."""
    return {node: said for node, said in patient.told.items() if "versions" in said}


CHECKS = (_lives, _answers, _versions, _code, _clocks, _processes)
