"""The tables of tasks: what a row of django-celery-results cannot hold."""

from django.db import models

from celeriac.database.indexes import PartialIndex
from celeriac.models.lengths import NAME_LENGTH


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
    #: How many runs of it have started since it was sent, again too.
    attempts = models.IntegerField(default=0)
    #: The exact message, so that it can be sent again: JSON of body, headers, properties and route.
    message = models.TextField(default="")
    #: When that was done last, under the task's own id; `published_at` is that moment, too.
    sent_again_at = models.DateTimeField(null=True)
    #: The task whose message this one is, sent again as a task of its own. It shares that one's root, whose
    #: index finds both directions.
    origin_id = models.CharField(max_length=255, null=True)

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
