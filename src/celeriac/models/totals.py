"""The tables of totals: how many tasks have ended so far, by task type and state, for monitors."""

from django.db import models


class TaskTotal(models.Model):
    """The tasks of a type that ended in a state, since totals are counted; only ever grows."""

    task_name = models.CharField(max_length=255)
    state = models.CharField(max_length=50)
    count = models.BigIntegerField(default=0)
    #: Of those whose beginning is known: how many they are, and how long they ran together.
    timed = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    #: JSON of how many of those ran no longer than each of the limits of `metrics.durations`.
    within = models.TextField(default="[]")

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["task_name", "state"], name="celeriac_tasktotal_unique"),
        )

    def __str__(self) -> str:
        return f"{self.task_name} {self.state}: {self.count}"


class TotalsCursor(models.Model):
    """How far the results are counted: one row, whose lock is the right to count on."""

    counted_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.counted_until}"
