"""Whether a publish is Celery's and kombu's own code alone, without a part of the project's or of others'."""

from types import FunctionType
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from celery.app.routes import MapRoute, Router
from celery.utils.functional import maybe_evaluate

from celeriac.publisher.template import REPR_LIMIT

_OURS = "celeriac.publisher"


def is_all_celerys(app: Celery) -> bool:
    """Whether nothing but the task's name and options decides what becomes of a call."""
    return (
        is_own(type(app), "send_task", "celery/app/base.py")
        and _has_own_messages(app.amqp)
        and _is_routed_by_name(app.amqp.router)
        and is_own(type(app.backend), "on_task_call", "celery/backends/base.py")
        and not app.conf.task_send_sent_event
    )


def _has_own_messages(amqp: AMQP) -> bool:
    make = amqp.create_task_message
    return (
        getattr(make, "__func__", None) is AMQP.as_task_v2
        and is_own(AMQP, "as_task_v2", "celery/app/amqp.py")
        and is_own(amqp.Producer, "publish", "kombu/messaging.py")
        and amqp.argsrepr_maxsize == amqp.kwargsrepr_maxsize == REPR_LIMIT
        and amqp.send_task_message.__module__.startswith(_OURS)
        and all(
            kind is AMQP or kind.__module__.startswith(_OURS) or "_create_task_sender" not in vars(kind)
            for kind in type(amqp).__mro__
        )
    )


def _is_routed_by_name(router: Any) -> bool:
    return type(router) is Router and all(type(maybe_evaluate(each)) is MapRoute for each in router.routes)


def is_own(kind: type, name: str, file: str) -> bool:
    """Whether the method is the one of this file: a wrapper is another function, or no function."""
    found = getattr(kind, name)
    return type(found) is FunctionType and found.__code__.co_filename.replace("\\", "/").endswith(file)
