"""Waking a worker's event loop for what another thread gives it to do, where kombu does not."""

import threading
from collections.abc import Callable
from typing import Any


def wake_from(loop: Any, nudge: Callable[[], None]) -> None:
    """kombu before 5.7: `call_soon` from a pool's thread waits until the loop wakes, up to 1 s."""
    if hasattr(loop, "_waker"):
        return
    original, this_thread = type(loop).call_soon, threading.get_ident()

    def call_soon(callback: Any, *args: Any) -> Any:
        entry = original(loop, callback, *args)
        if threading.get_ident() != this_thread:
            nudge()
        return entry

    loop.call_soon = call_soon
