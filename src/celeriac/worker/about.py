"""What a worker says of itself when the doctor asks: what it runs, and by which clock."""

import hashlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import celery
import django
from celery import Celery
from celery.worker.control import inspect_command
from django.conf import settings

from celeriac import __version__

COMMAND = "celeriac_about"

#: The code that this process has loaded; its files may be newer by now.
_code: str | None = None


def remember_code(app: Celery) -> None:
    """At the worker's start, when its tasks are imported."""
    global _code
    _code = code_of(app)


def code_of(app: Celery) -> str:
    """A print of the files that define tasks, the same on every host with the same code."""
    found = hashlib.sha256()
    for module in sorted({task.__module__ for task in app.tasks.values()} - {"celery.app.builtins"}):
        file = getattr(sys.modules.get(module), "__file__", None)
        try:
            content = Path(file).read_bytes() if file else b""
        except OSError:
            content = b""
        found.update(f"{module}\n{len(content)}\n".encode() + content)
    return found.hexdigest()[:12]


def about() -> dict[str, Any]:
    """Of this process: versions, code, clock and what it should not be."""
    return {
        "now": time.time(),
        "code": _code,
        "versions": {
            "celeriac": __version__,
            "celery": celery.__version__,
            "django": django.get_version(),
            "python": ".".join(map(str, sys.version_info[:3])),
        },
        "is_root": hasattr(os, "geteuid") and os.geteuid() == 0,
        "is_debug": bool(settings.DEBUG),
    }


@inspect_command(name=COMMAND, visible=False)
def _on_asked(_: Any) -> dict[str, Any]:
    """Versions, code and clock of this worker."""
    return about()
