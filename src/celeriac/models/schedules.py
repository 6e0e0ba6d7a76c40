"""The tables of the schedule: what a user has entered, how far each entry has come, and each tick.

Of a moment that the scheduler computes with they hold microseconds, as the tables of messages do.
"""

from typing import Any

from django.db import models

from celeriac.models import schedule_fields
from celeriac.models.lengths import LONG_NAME_LENGTH, NAME_LENGTH

_ONE_OF = "exactly one of cron, every, solar and at"


class CatchUp(models.TextChoices):
    """What becomes of due times that passed while no scheduler ran."""

    SKIP = "skip", "none of them, when the last one is over"
    ONCE = "once", "one task for all of them"
    ALL = "all", "a task for each of them"


class Schedule(models.Model):
    """An entry that users make and change, in Django's admin or in code; every `save()` checks it."""

    name = models.CharField(max_length=NAME_LENGTH, unique=True)
    task = models.CharField(
        max_length=LONG_NAME_LENGTH, help_text="The task's name, such as shop.tasks.remind"
    )
    args = models.JSONField(default=list, blank=True, help_text='A JSON list: [1, "two"]')
    kwargs = models.JSONField(default=dict, blank=True, help_text='A JSON object: {"days": 7}')
    queue = models.CharField(max_length=NAME_LENGTH, blank=True, help_text="Empty: as the task is routed")
    options = models.JSONField(
        default=dict, blank=True, help_text='More of apply_async(): {"priority": 5, "expires": 60}'
    )
    cron = models.CharField(
        max_length=NAME_LENGTH,
        blank=True,
        help_text=f"Minute, hour, day of month, month, day of week: 30 7 * * mon-fri ({_ONE_OF})",
    )
    every = models.DurationField(
        null=True, blank=True, help_text="An interval: 00:00:30; 1 00:00:00 is a day"
    )
    solar = models.CharField(
        max_length=100, blank=True, help_text="Event, latitude and longitude: sunset 48.21 16.37"
    )
    at = models.DateTimeField(null=True, blank=True, help_text="Once, at this moment")
    time_zone = models.CharField(
        max_length=100,
        blank=True,
        help_text="Of cron: Europe/Berlin; empty: CELERY_TIMEZONE or TIME_ZONE",
    )
    is_enabled = models.BooleanField("enabled", default=True)
    is_one_off = models.BooleanField("one-off", default=False, help_text="Fires once, and is disabled then")
    starts_at = models.DateTimeField(
        null=True, blank=True, help_text="Nothing is due before; intervals count from here"
    )
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Nothing is due after")
    catch_up = models.CharField(
        max_length=10,
        choices=CatchUp,
        default=CatchUp.ONCE,
        help_text="Of due times that passed while no scheduler ran",
    )
    grace_seconds = models.FloatField(
        null=True, blank=True, help_text="What is later than this is left out; empty: as the policy says"
    )
    description = models.TextField(blank=True)
    #: What has changed is read again.
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **options: Any) -> None:
        """Check it, then write it; raises ValidationError. `QuerySet.update` checks nothing."""
        self.full_clean(validate_unique=False, validate_constraints=False)
        super().save(*args, **options)

    def clean(self) -> None:
        """Raises ValidationError that says, for each field, what to do."""
        schedule_fields.check(self)


class ScheduleState(models.Model):
    """How far an entry has come, of the settings or of the table. One whose times change has a new row."""

    name = models.CharField(max_length=NAME_LENGTH)
    #: Of what says when it is due.
    fingerprint = models.CharField(max_length=40)
    is_from_table = models.BooleanField(default=False)
    #: Intervals count from here.
    anchor = models.BigIntegerField()
    #: None: it has ended.
    next_due = models.BigIntegerField(null=True)
    last_due = models.BigIntegerField(null=True)
    last_fired_at = models.BigIntegerField(null=True)
    last_task_id = models.CharField(max_length=255, null=True)
    #: When a scheduler that has this entry has last said so.
    seen_at = models.BigIntegerField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["name", "fingerprint"], name="celeriac_schedulestate_unique"),
        )

    def __str__(self) -> str:
        return self.name


class ScheduleOrder(models.Model):
    """What was ordered for an entry by its name: it outlives changes of the entry."""

    name = models.CharField(max_length=NAME_LENGTH, unique=True)
    is_paused = models.BooleanField(default=False)
    #: So many due times are left out from now on.
    skips = models.IntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class Tick(models.Model):
    """A due time that was dealt with, once for all schedulers: the unique row is committed with its task."""

    name = models.CharField(max_length=NAME_LENGTH)
    due = models.BigIntegerField()
    fired_at = models.BigIntegerField()
    #: None: no task was published, for it was skipped, or could not be.
    task_id = models.CharField(max_length=255, null=True)
    fault = models.TextField(default="")

    class Meta:
        constraints = (models.UniqueConstraint(fields=["name", "due"], name="celeriac_tick_unique"),)
        indexes = (models.Index(fields=["fired_at"], name="celeriac_tick_fired"),)

    def __str__(self) -> str:
        return f"{self.name} at {self.due}"
