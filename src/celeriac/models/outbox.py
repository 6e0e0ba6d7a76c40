"""The table of what is on its way to a broker that is no database."""

from django.db import models

from celeriac.models.lengths import NAME_LENGTH


class Outbox(models.Model):
    """A message for RabbitMQ, Redis or another broker, committed and not sent yet; goes when it is sent."""

    #: 0: nobody's. Above: who sends it now. Below: refused by the broker, and tried again a little later.
    holder = models.BigIntegerField(default=0)
    #: Its place in what its holder wrote together.
    place = models.IntegerField(default=0)
    queue = models.CharField(max_length=NAME_LENGTH, default="")
    task_id = models.CharField(max_length=255, null=True)
    task_name = models.CharField(max_length=255, null=True)
    payload = models.TextField()
    #: How many times the broker refused it, and why the last time.
    refusals = models.SmallIntegerField(default=0)
    reason = models.TextField(default="")

    class Meta:
        verbose_name_plural = "outbox"
        # What is nobody's stands together, in order, however many others are written and deleted.
        indexes = (models.Index(fields=["holder", "id"], name="celeriac_outbox_next"),)

    def __str__(self) -> str:
        return f"{self.task_name or 'message'} for {self.queue}"
