"""What waits and will not be taken."""

from collections.abc import Iterator

from celeriac.broker import caller, clock
from celeriac.broker.queries import clocks
from celeriac.conf import options
from celeriac.doctor.finding import Finding, Kind, Level
from celeriac.doctor.patient import Patient
from celeriac.models import Message, MessageState

#: A worker has had time to take it.
_TAKEN_WITHIN_SECONDS = 60.0
_SAMPLE = 1000

UNKNOWN = Kind(
    "unknown-tasks",
    Level.ERROR,
    "tasks wait that this code does not know",
    "Renamed or deleted while they waited, or published by newer code: they become dead letters.",
    "Deploy the code that has them, keep the old name as an alias (name=…), or purge them.",
)
NOBODY = Kind(
    "queue-without-worker",
    Level.ERROR,
    "tasks wait in a queue that no worker reads",
    "They wait until one does.",
    "Start a worker with -Q QUEUE, or correct CELERY_TASK_ROUTES.",
)
PAUSED = Kind(
    "queue-paused",
    Level.WARNING,
    "tasks wait in a queue that is paused",
    "Somebody paused it, and nothing is taken from it until somebody resumes it.",
    "python manage.py celery resume QUEUE",
)
SLOW = Kind(
    "queue-slow",
    Level.WARNING,
    "tasks wait longer than CELERIAC['WAITING_LIMIT_SECONDS']",
    "More is sent than the workers can do, or they are held up.",
    "More workers or a higher --concurrency; long tasks in a queue of their own.",
)
DEAD = Kind(
    "dead-letters",
    Level.WARNING,
    "messages that were given up",
    "Their tasks failed without a run, or with one that ended its worker; each has its reason.",
    "Mend the reason; python manage.py celery dead replay NUMBER sends it again, dead delete deletes it.",
)
KINDS = (UNKNOWN, NOBODY, PAUSED, SLOW, DEAD)


def _states(patient: Patient) -> Iterator[Finding]:
    read = {name for worker in patient.living for name in worker.queues}
    limit = options().waiting_limit_seconds
    for queue in patient.queues:
        waits, oldest = queue.waiting or 0, queue.oldest_waiting_seconds or 0.0
        if queue.dead_letters:
            yield DEAD.found(f"{_counted(queue.dead_letters, 'dead letter')} of the queue {queue.name!r}.")
        if waits and queue.is_paused:
            yield PAUSED.found(
                f"{_waiting(waits)} in the paused queue {queue.name!r}.",
                fix=PAUSED.fix.replace("QUEUE", queue.name),
            )
        elif waits and patient.workers_have_rows and queue.name not in read:
            yield NOBODY.found(
                f"{_waiting(waits)} in the queue {queue.name!r}, which no worker reads.",
                fix=NOBODY.fix.replace("QUEUE", queue.name) if read else "python manage.py celery start",
            )
        elif oldest > limit:
            yield SLOW.found(f"The oldest task in the queue {queue.name!r} has waited for {oldest:.0f} s.")


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _waiting(count: int) -> str:
    return f"{_counted(count, 'task')} wait{'s' if count == 1 else ''}"


def _unknown(patient: Patient) -> Iterator[Finding]:
    alias = patient.broker_alias
    if alias is None:
        return
    before = caller.run(alias, clocks.now) - clock.seconds(_TAKEN_WITHIN_SECONDS)
    waiting = Message.objects.using(alias).filter(state=MessageState.READY, queue__in=_names(patient))
    names = waiting.filter(available_at__lt=before).values_list("task_name", flat=True)[:_SAMPLE]
    for name in sorted({name for name in names if name and name not in patient.app.tasks}):
        yield UNKNOWN.found(f"{name} waits, and no tasks.py of this code has it.")


def _names(patient: Patient) -> list[str]:
    # Loaded before it is asked which tasks are known.
    assert patient.task_names is not None
    return [queue.name for queue in patient.queues if queue.waiting]


CHECKS = (_states, _unknown)
