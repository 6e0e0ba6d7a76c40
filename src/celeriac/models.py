"""The tables: messages and their queues, workers, and what a result row cannot hold.

Times of the broker are integers, microseconds since 1970 in UTC: one index serves them on every
database, and neither USE_TZ nor a session's time zone can change what they mean.
"""

from django.db import models
from django.utils import timezone

from celeriac.database.indexes import PartialIndex

NAME_LENGTH = 200


class MessageState(models.IntegerChoices):
    """Where a message is in its life; it is deleted when it is acknowledged."""

    DELAYED = 0
    READY = 1
    CLAIMED = 2


class Message(models.Model):
    """A message that waits or is claimed. Hot and small: the row goes with its ack."""

    queue = models.CharField(max_length=NAME_LENGTH)
    #: 9 - priority: the lower, the sooner, so that one ascending index serves every database.
    turn = models.SmallIntegerField(default=9)
    state = models.SmallIntegerField(choices=MessageState, default=MessageState.READY)
    available_at = models.BigIntegerField()
    expires_at = models.BigIntegerField(null=True)
    published_at = models.BigIntegerField()
    task_id = models.CharField(max_length=255, null=True)
    task_name = models.CharField(max_length=255, null=True)
    payload = models.TextField()
    #: How many times it was handed to a consumer; more than MAX_DELIVERIES: a dead letter.
    deliveries = models.SmallIntegerField(default=0)
    #: Worker.pk of the holder. No foreign key: the claim must not lock or join a second table.
    claimed_by = models.BigIntegerField(null=True)
    #: New at every claim: an ack with an older token finds nothing (fencing).
    claim_token = models.BigIntegerField(null=True)

    class Meta:
        # Each row is in as few indexes as its state needs: a message is written three times in its life.
        indexes = (
            PartialIndex(
                fields=["queue", "state", "turn", "id"],
                name="celeriac_message_next",
                rows=models.Q(state__in=[MessageState.DELAYED, MessageState.READY]),
            ),
            PartialIndex(
                fields=["state", "available_at"],
                name="celeriac_message_due",
                rows=models.Q(state=MessageState.DELAYED),
            ),
            PartialIndex(
                fields=["claimed_by"],
                name="celeriac_message_claimed",
                rows=models.Q(claimed_by__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{self.task_name or 'message'} in {self.queue}"


class Queue(models.Model):
    """A queue that somebody declared or published to."""

    name = models.CharField(max_length=NAME_LENGTH, unique=True)
    #: x-message-ttl: how long a message may wait, in milliseconds.
    message_ttl = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return self.name


class Binding(models.Model):
    """A queue bound to an exchange; a queue of remote control or events is transient."""

    exchange = models.CharField(max_length=NAME_LENGTH)
    exchange_type = models.CharField(max_length=20)
    routing_key = models.CharField(max_length=NAME_LENGTH)
    queue = models.CharField(max_length=NAME_LENGTH)
    is_transient = models.BooleanField(default=False)
    #: When a transient queue that nobody reads any more is forgotten; its reader moves it on.
    expires_at = models.BigIntegerField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["exchange", "routing_key", "queue"], name="celeriac_binding_unique"
            ),
        )
        indexes = (models.Index(fields=["queue"], name="celeriac_binding_queue"),)

    def __str__(self) -> str:
        return f"{self.exchange} → {self.queue}"


class Broadcast(models.Model):
    """A message of a transient queue: remote control, its replies, events. Never a dead letter."""

    queue = models.CharField(max_length=NAME_LENGTH)
    #: As in Message.
    turn = models.SmallIntegerField(default=9)
    payload = models.TextField()
    expires_at = models.BigIntegerField()

    class Meta:
        indexes = (
            models.Index(fields=["queue", "id"], name="celeriac_broadcast_next"),
            models.Index(fields=["expires_at"], name="celeriac_broadcast_expires"),
        )

    def __str__(self) -> str:
        return f"broadcast in {self.queue}"


class Worker(models.Model):
    """A process that consumes messages: one row per life of it, so that its id is its identity."""

    node = models.CharField(max_length=NAME_LENGTH)
    host = models.CharField(max_length=NAME_LENGTH)
    pid = models.IntegerField()
    #: Counts up while the process lives; a reader compares it over its own monotonic clock.
    heartbeat = models.BigIntegerField(default=0)
    #: Whether the server or the kernel holds a lock for the process that goes when it dies.
    has_lock = models.BooleanField(default=False)
    is_lost = models.BooleanField(default=False)
    started_at = models.BigIntegerField()
    pool = models.CharField(max_length=100, default="")
    concurrency = models.IntegerField(default=0)
    queues = models.TextField(default="")

    class Meta:
        indexes = (models.Index(fields=["node"], name="celeriac_worker_node"),)

    def __str__(self) -> str:
        return f"{self.node} (pid {self.pid} on {self.host})"


class DeadLetter(models.Model):
    """A message that was refused or given up, whole, with the reason."""

    queue = models.CharField(max_length=NAME_LENGTH)
    task_id = models.CharField(max_length=255, null=True)
    task_name = models.CharField(max_length=255, null=True)
    payload = models.TextField()
    deliveries = models.SmallIntegerField()
    reason = models.TextField()
    died_at = models.BigIntegerField()

    class Meta:
        indexes = (
            models.Index(fields=["task_id"], name="celeriac_deadletter_task"),
            models.Index(fields=["died_at"], name="celeriac_deadletter_died"),
        )

    def __str__(self) -> str:
        return f"{self.task_name or 'message'}: {self.reason}"


class TaskRecord(models.Model):
    """A task from its publish on, on every broker: what `TaskResult` has no column for."""

    task_id = models.CharField(max_length=255, unique=True)
    task_name = models.CharField(max_length=255)
    queue = models.CharField(max_length=NAME_LENGTH, default="")
    priority = models.SmallIntegerField(null=True)
    eta = models.DateTimeField(null=True)
    expires = models.DateTimeField(null=True)
    parent_id = models.CharField(max_length=255, null=True)
    root_id = models.CharField(max_length=255, null=True)
    group_id = models.CharField(max_length=255, null=True)
    published_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    #: How many runs of it have started.
    attempts = models.IntegerField(default=0)
    #: The exact message, so that it can be sent again: JSON of body, headers, properties and route.
    message = models.TextField(default="")

    class Meta:
        # Most tasks belong to no workflow: their root is they themselves, and the last two have no entry for
        # them. Who looks for the tasks of a root says the condition too.
        indexes = (
            models.Index(fields=["published_at"], name="celeriac_record_published"),
            PartialIndex(
                fields=["root_id"], name="celeriac_record_root", rows=~models.Q(root_id=models.F("task_id"))
            ),
            PartialIndex(
                fields=["group_id"], name="celeriac_record_group", rows=models.Q(group_id__isnull=False)
            ),
        )

    def __str__(self) -> str:
        return f"{self.task_name}[{self.task_id}]"


class Revocation(models.Model):
    """Tasks that are not to run, by the id of one or by a stamp of many; kept until they ended."""

    #: The stamped header; empty: `value` is the id of a task.
    header = models.CharField(max_length=NAME_LENGTH, default="")
    value = models.CharField(max_length=255)
    revoked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["value", "header"], name="celeriac_revocation_unique"),
        )
        indexes = (models.Index(fields=["revoked_at"], name="celeriac_revocation_at"),)

    def __str__(self) -> str:
        return f"{self.header}={self.value}" if self.header else self.value


class PausedQueue(models.Model):
    """A queue that no worker takes messages from, on every broker; Queue knows those of a database alone."""

    name = models.CharField(max_length=NAME_LENGTH, unique=True)
    paused_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class Chord(models.Model):
    """A chord whose body waits for its header."""

    group_id = models.CharField(max_length=255, unique=True)
    size = models.IntegerField()
    #: JSON of the header's result tuples, as `celery.result.result_from_tuple` reads them.
    header = models.TextField()
    is_sent = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = (models.Index(fields=["created_at"], name="celeriac_chord_created"),)

    def __str__(self) -> str:
        return f"chord {self.group_id}"


class ChordPart(models.Model):
    """A header task that ended. One row however often it was delivered: it counts once."""

    group_id = models.CharField(max_length=255)
    task_id = models.CharField(max_length=255)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["group_id", "task_id"], name="celeriac_chordpart_unique"),
        )

    def __str__(self) -> str:
        return f"{self.task_id} of chord {self.group_id}"
