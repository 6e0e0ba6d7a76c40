"""What `delay()` does beyond Celery: the message, its PENDING row and its record, all or none.

Celery publishes every task through `app.amqp.send_task_message`; that is the one seam, whatever the
broker and however the task was called.
"""

from celery import Celery
from celery.app.amqp import AMQP
from celery.utils.imports import symbol_by_name

from celeriac import after_task
from celeriac.publisher import groups
from celeriac.publisher.recording import Send, recording
from celeriac.publisher.short_way import ShortWay


def install(app: Celery) -> None:
    """Let the app publish through us."""
    after_task.connect()
    groups.connect()
    base = app.__dict__["amqp"].__class__ if "amqp" in app.__dict__ else symbol_by_name(app.amqp_cls)
    if issubclass(base, _Recording):
        return
    app.amqp_cls = type("AMQP", (_Recording, base), {})
    app.__dict__.pop("amqp", None)
    app.send_task = ShortWay(app).send_task


class _Recording(AMQP):
    """Celery's AMQP, whose sender also records."""

    def _create_task_sender(self) -> Send:
        return recording(self.app, super()._create_task_sender())
