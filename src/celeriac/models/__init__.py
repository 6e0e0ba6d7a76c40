"""The tables, by what they are about."""

from celeriac.models.attempts import Attempt, Outcome
from celeriac.models.lengths import LONG_NAME_LENGTH, NAME_LENGTH
from celeriac.models.messages import Binding, Broadcast, DeadLetter, Message, MessageState, Queue
from celeriac.models.orders import PausedQueue, Revocation
from celeriac.models.outbox import Outbox
from celeriac.models.schedules import CatchUp, Schedule, ScheduleOrder, ScheduleState, Tick
from celeriac.models.tasks import Chord, ChordPart, TaskRecord
from celeriac.models.totals import TaskTotal, TotalsCursor
from celeriac.models.workers import Worker

__all__ = (
    "LONG_NAME_LENGTH",
    "NAME_LENGTH",
    "Attempt",
    "Binding",
    "Broadcast",
    "CatchUp",
    "Chord",
    "ChordPart",
    "DeadLetter",
    "Message",
    "MessageState",
    "Outbox",
    "Outcome",
    "PausedQueue",
    "Queue",
    "Revocation",
    "Schedule",
    "ScheduleOrder",
    "ScheduleState",
    "TaskRecord",
    "TaskTotal",
    "Tick",
    "TotalsCursor",
    "Worker",
)
