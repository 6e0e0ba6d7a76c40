"""The tables of what was ordered and holds until it ends: tasks that may not run, queues that are paused."""

from django.db import models
from django.utils import timezone

from celeriac.models.lengths import NAME_LENGTH


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
