"""The tables of messages: those that wait, where they wait, and those that were given up.

Times are integers, microseconds since 1970 in UTC: one index serves them on every database, and neither
USE_TZ nor a session's time zone can change what they mean.
"""

from django.db import models

from celeriac.database.indexes import PartialIndex
from celeriac.models.lengths import NAME_LENGTH


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
            models.Index(fields=["queue"], name="celeriac_deadletter_queue"),
        )

    def __str__(self) -> str:
        return f"{self.task_name or 'message'}: {self.reason}"
