"""The flusher of this process, where its worker has results to store and a place for journals."""

import logging
import os

from celeriac.broker.deliveries import deliveries_for
from celeriac.worker import recovery
from celeriac.worker.flusher import Flusher

logger = logging.getLogger(__name__)

#: One, because a process has one worker. Set by the main thread only.
_flusher: Flusher | None = None
_has_external_broker = False


def start(broker_alias: str | None, results_alias: str | None) -> None:
    """Collect what the tasks of this worker come to; without a place for it they store it themselves."""
    global _flusher, _has_external_broker
    stop()
    stem = None if results_alias is None else recovery.stem_for(os.getpid())
    if results_alias is None or stem is None:
        return
    try:
        flusher = Flusher(results_alias, None if broker_alias is None else deliveries_for(broker_alias), stem)
    except OSError as error:
        logger.warning("Each task stores its own result, because the worker can keep no journal: %s", error)
        return
    flusher.start()
    _flusher, _has_external_broker = flusher, broker_alias is None


def stop() -> None:
    """Store what is left; may be called twice."""
    global _flusher
    if _flusher is not None:
        _flusher.stop()
        _flusher = None


def of_external_broker() -> Flusher | None:
    """The flusher whose worker has its messages from RabbitMQ or Redis."""
    return _flusher if _has_external_broker else None


def _forget_in_child() -> None:
    """The thread belongs to the worker; a child of its pool only notes."""
    global _flusher
    _flusher = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
