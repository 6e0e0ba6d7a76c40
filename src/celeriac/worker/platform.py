"""How the pool must be started on this platform; a plain function decides, so that tests can ask for any.

macOS: a forked child of a process that has used system frameworks may be aborted by the system
(celery#7324), so the pool is spawned. Windows has no fork, and threads need neither pickling nor a
shim. Facts: celery#10339, celery#10583, celery#10683 (billiard 4.3 with Celery before 5.7).
"""

import os
import sys
from dataclasses import dataclass

import billiard
import celery
from celery import Celery

#: A spawned child imports the whole project before it is up; Celery's own limit is 4 s.
_SPAWN_ALIVE_SECONDS = 60.0
#: On a desktop every spawned child is a full interpreter.
_MAC_CONCURRENCY = 4
_NATIVE_SPAWN = (5, 7)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to start the pool with, and why; None leaves a thing to Celery."""

    pool: str
    start_method: str | None
    concurrency: int | None
    #: Celery before 5.7 sets a spawned child up only when it finds FORKED_BY_MULTIPROCESSING.
    needs_shim: bool
    alive_seconds: float | None
    reason: str


def decide(
    platform: str,
    *,
    celery_version: tuple[int, int],
    pool: str | None = None,
    start_method: str | None = None,
    concurrency: int | None = None,
) -> Decision:
    """What to do on `platform` (a value of sys.platform) with what the user chose, if anything."""
    if pool is None and platform == "win32":
        return Decision("threads", None, None, False, None, "threads, as Windows cannot fork")
    if (pool or "prefork") not in {"prefork", "processes"}:
        return Decision(pool or "prefork", None, None, False, None, "as chosen")
    needs_shim = celery_version < _NATIVE_SPAWN
    if platform == "win32":
        return Decision(
            "prefork", None, None, needs_shim, _SPAWN_ALIVE_SECONDS, "as chosen; spawned on Windows"
        )
    if start_method is None and platform != "darwin":
        return Decision("prefork", None, None, False, None, "as chosen" if pool else "forked, the default")
    if start_method == "fork":
        return Decision("prefork", "fork", None, False, None, "forked, as chosen")
    reason = "spawned, as chosen" if start_method else "spawned, as macOS may abort forked processes"
    cap = _MAC_CONCURRENCY if platform == "darwin" and concurrency is None else None
    return Decision("prefork", "spawn", cap, needs_shim, _SPAWN_ALIVE_SECONDS, reason)


def decide_here(**chosen: object) -> Decision:
    """The decision for this machine."""
    version = celery.VERSION
    return decide(sys.platform, celery_version=(int(version.major), int(version.minor)), **chosen)  # type: ignore[arg-type]  # passed through


def chosen_in_settings(app: Celery, name: str) -> str | None:
    """The value that the project's settings give to one of Celery's; None when they do not."""
    # Asked first: until then Celery has read none of them.
    value = app.conf.get(name)
    own = app.conf.maps[:-1]
    is_set = any(spelled in given for spelled in app.conf._to_keys(name) for given in own)
    return str(value) if is_set and value else None


def apply(decision: Decision, app: Celery) -> None:
    """Prepare this process and the app; before the worker is made."""
    if decision.needs_shim:
        # Inherited by the children, which then set up Django and the task registry.
        os.environ["FORKED_BY_MULTIPROCESSING"] = "1"
    if decision.start_method is not None:
        # Celery's own "fork" leaves billiard's default, which is to spawn on macOS.
        billiard.set_start_method(decision.start_method, force=True)
        app.conf.worker_pool_start_method = decision.start_method
    alive = decision.alive_seconds
    if alive is not None and (app.conf.worker_proc_alive_timeout or 0) < alive:
        app.conf.worker_proc_alive_timeout = alive
    if decision.concurrency is not None and not app.conf.worker_concurrency:
        app.conf.worker_concurrency = min(decision.concurrency, os.cpu_count() or 1)
