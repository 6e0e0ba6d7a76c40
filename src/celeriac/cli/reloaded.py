"""The worker's side of a reload: what it tells the process that watches the files, and is told by it."""

import json
import os
import select
import signal
import time
from importlib import import_module
from threading import Thread
from typing import Any

from celery import Celery, signals
from celery.platforms import EX_FAILURE

from celeriac.cli import keys, watching
from celeriac.worker import time_to_stop

#: Where a child finds its two pipes, and how long running tasks may hold up a reload.
ENVIRONMENT = "CELERIAC_RELOADER"
RELOAD, BEGIN = b"r", b"b"
#: Errors of an import that are there however often it is tried.
_SLIPS = (SyntaxError, ImportError, NameError, AttributeError, TypeError)


def taken() -> "Reloader | None":
    """What started this worker and will start it again; None where nothing does.

    What the worker starts is not taken for another one.
    """
    given = os.environ.pop(ENVIRONMENT, "").split(",")
    if len(given) != 5:
        return None
    orders, reports = int(given[0]), int(given[1])
    for pipe in (orders, reports):
        os.set_inheritable(pipe, False)
    return Reloader(
        orders, reports, seconds=float(given[2]), is_first=given[3] == "1", is_waiting=given[4] == "1"
    )


class Reloader:
    """The process that watches the files, as the worker sees it."""

    def __init__(
        self, orders: int, reports: int, *, seconds: float, is_first: bool, is_waiting: bool
    ) -> None:
        self._orders, self._reports, self._seconds = orders, reports, seconds
        self._is_waiting = is_waiting
        #: Whether this worker is the first one, or comes after a change.
        self.is_first = is_first

    def wait_for_turn(self) -> None:
        """Return when this worker may begin; raises SystemExit when it is not wanted any more."""
        if not self._is_waiting:
            return
        # All that a worker imports; the project is there already.
        import_module("celery.apps.worker")
        import_module("celery.concurrency.prefork")
        self._tell(files=watching.own_modules())
        if os.read(self._orders, 1) != BEGIN:
            raise SystemExit(0)
        if keys.hear():
            raise SystemExit(EX_FAILURE)

    def follow(self, app: Celery) -> None:
        """From now on do what it says, also by its death, and tell what it must know."""
        signals.worker_ready.connect(self._ready, dispatch_uid="celeriac.reloaded.ready")
        signals.worker_shutting_down.connect(self._stopping, dispatch_uid="celeriac.reloaded.stopping")
        Thread(target=self._listen, args=(app,), name="celeriac-reloader", daemon=True).start()
        self._tell(follows=True)

    def broken(self, error: BaseException) -> None:
        """Tell that a file cannot be imported, which an edit will mend, and whether nothing else will."""
        # Without a cause it was found by reading the file.
        is_slip = error.__cause__ is None or isinstance(error.__cause__, _SLIPS)
        self._tell(broken=True, files=watching.own_modules(), **({"slip": True} if is_slip else {}))

    def _ready(self, **_: Any) -> None:
        self._tell(ready=True, files=watching.own_modules())

    def _stopping(self, sig: str, **_: Any) -> None:
        self._tell(stopping=sig)

    def _tell(self, **what: Any) -> None:
        text = json.dumps(what).encode() + b"\n"
        try:
            while text:
                text = text[os.write(self._reports, text) :]
        except OSError:
            pass  # It is dead: the other pipe says so, too.

    def _listen(self, app: Celery) -> None:
        # In place of a read that blocks: a pool of greenlets goes on meanwhile.
        select.select([self._orders], [], [])
        os.kill(os.getpid(), signal.SIGTERM)
        # The time that running tasks have; this thread ends with the process when they are quicker.
        time.sleep(self._seconds)
        time_to_stop.cut(app)
