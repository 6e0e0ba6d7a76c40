"""The table of attempts: each run of a task that did not succeed, with what it came to."""

from django.db import models

from celeriac.models.lengths import NAME_LENGTH


class Outcome(models.TextChoices):
    """How a run ended that did not succeed."""

    FAILURE = "FAILURE", "raised an error"
    RETRY = "RETRY", "asked for another run"
    TIME_LIMIT = "TIME_LIMIT", "ran longer than it may"
    LOST = "LOST", "its process or its worker died"
    RETURNED = "RETURNED", "given back by a worker that stopped"
    REJECTED = "REJECTED", "refused its message"
    REVOKED = "REVOKED", "terminated"
    GIVEN_UP = "GIVEN_UP", "its message became a dead letter without another run"


class Attempt(models.Model):
    """A run of a task that did not succeed. Text for people: nothing is ever rebuilt from it."""

    #: Of one run's end, whoever writes it and how often: a repeated transaction adds nothing.
    run_key = models.CharField(max_length=64, unique=True)
    task_id = models.CharField(max_length=255)
    task_name = models.CharField(max_length=255, default="")
    #: Counts the rows of a task from 1.
    number = models.IntegerField()
    #: The node name.
    worker = models.CharField(max_length=NAME_LENGTH, default="")
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField()
    outcome = models.CharField(max_length=20, choices=Outcome)
    #: The class of the exception, with its module unless that is Python's own.
    exception = models.CharField(max_length=255, default="")
    message = models.TextField(default="")
    traceback = models.TextField(default="")
    #: Equal for failures of one task that come from the same place, whatever their lines, ids and values.
    fingerprint = models.CharField(max_length=32, default="")

    class Meta:
        indexes = (
            models.Index(fields=["task_id", "number"], name="celeriac_attempt_task"),
            models.Index(fields=["ended_at"], name="celeriac_attempt_ended"),
            models.Index(fields=["fingerprint", "ended_at"], name="celeriac_attempt_alike"),
        )

    def __str__(self) -> str:
        return f"{self.task_name}[{self.task_id}] {self.number}: {self.outcome}"
