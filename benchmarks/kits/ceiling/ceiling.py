"""Celery alone: publisher and worker in one process, messages in its memory, no results."""

import sys

from celery import Celery
from stamp import stamp

app = Celery("ceiling", broker="memory://", set_as_current=True)
app.conf.task_ignore_result = True
app.conf.worker_enable_remote_control = False
# The transport polls: often, and with enough at hand that the pool does not wait for the next look.
app.conf.broker_transport_options = {"polling_interval": 0.001}
app.conf.worker_prefetch_multiplier = 64


@app.task(name="add")
def add(x: int, y: int) -> int:
    """Two numbers, added."""
    stamp(x)
    return x + y


def main(pool: str, count: int) -> None:
    """Publish so many tasks to this process, then run them."""
    for number in range(count):
        add.delay(number, 1)
    app.worker_main(
        ["worker", "-l", "WARNING", "-c", "2", "-P", pool, "--without-gossip", "--without-mingle"]
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
