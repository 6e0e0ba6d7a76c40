"""The project's tasks: whether they are found, and whether a killed worker loses them."""

from collections.abc import Iterator
from datetime import timedelta

from celeriac.discovery import fault_of
from celeriac.doctor.finding import Finding, Kind, Level
from celeriac.doctor.patient import Patient
from celeriac.models import TaskRecord
from celeriac.results.pending import results_alias

#: The last so many runs tell how long a task takes.
_NEWEST = 1000
_LONG = timedelta(seconds=60)

BROKEN = Kind(
    "task-file-broken",
    Level.ERROR,
    "a tasks.py cannot be imported",
    "No worker starts, for it would not know the tasks of the file.",
    "Correct the file: the finding has the line.",
)
NO_TASKS = Kind(
    "no-tasks",
    Level.WARNING,
    "the project has no task",
    "Usually a slip: a file that is not called tasks.py, or a function without @shared_task.",
    "python manage.py celery discovered lists each file, or why it was left out.",
)
LEFT_OUT = Kind(
    "task-file-left-out",
    Level.WARNING,
    "a tasks.py was left out because no task was seen in it",
    "If it does make tasks, in a way that is not seen, no worker knows them.",
    "Use @shared_task there, import the file from an app, or name it in CELERIAC['DISCOVER_EXCLUDE'].",
)
EARLY_ACK = Kind(
    "early-ack",
    Level.WARNING,
    "a long task is acknowledged before it runs",
    "When its worker is killed, at a deploy or for want of memory, it is lost.",
    "Remove acks_late=False from the task, and CELERY_TASK_ACKS_LATE = False from the settings.",
)
KINDS = (BROKEN, NO_TASKS, LEFT_OUT, EARLY_ACK)


def _files(patient: Patient) -> Iterator[Finding]:
    for file in patient.task_files:
        if file.is_doubtful:
            yield LEFT_OUT.found(f"{file.shown}: {file.reason}")
        elif not file.reason and (fault := fault_of(file)):
            yield BROKEN.found(f"{file.shown}: {fault}")


def _tasks(patient: Patient) -> Iterator[Finding]:
    if not patient.task_names:
        yield NO_TASKS.found("No task was found.")


def _acks(patient: Patient) -> Iterator[Finding]:
    early = [name for name in patient.task_names if not patient.app.tasks[name].acks_late]
    if not early or not patient.has_results:
        return
    records = TaskRecord.objects.using(results_alias()).order_by("-published_at")
    newest = records.values_list("task_name", "started_at", "finished_at")[:_NEWEST]
    long = {
        name for name, begun, ended in newest if name in early and begun and ended and ended - begun > _LONG
    }
    for name in sorted(long):
        yield EARLY_ACK.found(f"{name} ran for more than {_LONG.seconds} s, and is acknowledged before.")


CHECKS = (_files, _tasks, _acks)
