"""Wraps functions from outside where the environment says so: to kill the process, or to be another host."""

import functools
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from django.apps import AppConfig


class PointsConfig(AppConfig):
    """Stands last among the installed apps: what is wrapped is what the others have made."""

    name = "points"

    def ready(self) -> None:
        """Do what the environment asks for."""
        if host := os.environ.get("SOAK_HOST"):
            socket.gethostname = lambda: host
        if point := os.environ.get("SOAK_KILL"):
            _plant(**json.loads(point))


def _plant(targets: list[str], when: str, hit: int, every: int, marker: str) -> None:
    """Kill the process at its `hit`-th call, or at each `every`-th after it; one process alone dies."""
    calls = 0

    def reached() -> None:
        nonlocal calls
        calls += 1
        if calls >= hit and (calls - hit) % every == 0:
            _die(Path(marker))

    for target in targets:
        module, _, path = target.partition(":")
        *owners, name = path.split(".")
        owner: Any = functools.reduce(getattr, owners, import_module(module))
        setattr(owner, name, _wrapped(getattr(owner, name), when, reached))


def _wrapped(function: Callable[..., Any], when: str, reached: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            reached()
        value = function(*args, **kwargs)
        if when == "after":
            reached()
        return value

    return wrapper


def _die(marker: Path) -> None:
    try:
        fd = os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return  # Another process of this worker was here first; a second death would be a second fault.
    os.write(fd, f"{os.getpid()} {time.monotonic()}\n".encode())
    os.close(fd)
    os.kill(os.getpid(), signal.SIGKILL)
