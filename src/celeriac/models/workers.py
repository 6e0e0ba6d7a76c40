"""The table of workers. Its times are those of the messages."""

from django.db import models

from celeriac.models.lengths import NAME_LENGTH


class Worker(models.Model):
    """A process that consumes messages: one row per life of it, so that its id is its identity."""

    node = models.CharField(max_length=NAME_LENGTH)
    host = models.CharField(max_length=NAME_LENGTH)
    pid = models.IntegerField()
    #: Counts up while the process lives; a reader compares it over its own monotonic clock.
    heartbeat = models.BigIntegerField(default=0)
    #: When that was, by the database's clock. For people: who is dead is decided by the counter.
    beaten_at = models.BigIntegerField(null=True)
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
