"""`healthz/`: whether tasks are taken, for a monitor or a load balancer; numbers only, and cheap to ask."""

import threading
import time
from typing import Any

from celery import Celery
from django.db import Error
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from celeriac.app import get_app
from celeriac.conf import options
from celeriac.database.requests import outside_of_transactions
from celeriac.errors import CeleriacError
from celeriac.health.available import is_available
from celeriac.selectors.queues import queues

#: However many ask, the database is asked once in so long by each process.
_FRESH_SECONDS = 1.0

_last: tuple[float, dict[str, Any]] | None = None
#: Who asks while another one does has that one's answer.
_asking = threading.Lock()


@outside_of_transactions
@never_cache
@require_safe
def healthz(_: HttpRequest) -> JsonResponse:
    """200 while the database answers, a worker is there and nothing waits too long; else 503."""
    found = _recent()
    return JsonResponse(found, status=200 if found["status"] == "ok" else 503)


def _recent() -> dict[str, Any]:
    global _last
    with _asking:
        if _last is None or time.monotonic() - _last[0] > _FRESH_SECONDS:
            found = _asked(get_app())
            # Fresh from here on: the answer itself may take longer than that.
            _last = time.monotonic(), found
        return _last[1]


def _asked(app: Celery) -> dict[str, Any]:
    limit = options().waiting_limit_seconds
    try:
        oldest = max(
            (each.oldest_waiting_seconds or 0.0 for each in queues(app) if not each.is_paused), default=0.0
        )
        checks = {"broker": True, "workers": is_available(), "waiting": oldest <= limit}
    except (Error, CeleriacError):
        # The reason would tell strangers of hosts and users: it is in the log of the server, and in `doctor`.
        oldest, checks = None, {"broker": False, "workers": False, "waiting": False}
    return {
        "status": "ok" if all(checks.values()) else "failing",
        "checks": checks,
        "oldest_waiting_seconds": oldest,
        "waiting_limit_seconds": limit,
    }
