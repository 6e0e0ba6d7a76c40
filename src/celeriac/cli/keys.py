"""The terminal's keys in a worker whose turn has not come: they are noted, and are for the one that runs.

A mask holds them back until this file is imported; it would hold them back in whatever the project starts,
too, which a handler does not.
"""

import os
import signal
import threading

#: That this process waits for its turn.
ENVIRONMENT = "CELERIAC_WAITS"
OF_TERMINAL = frozenset(getattr(signal, name) for name in ("SIGINT", "SIGQUIT") if hasattr(signal, name))

_came: set[int] = set()


def note_if_waiting() -> None:
    """Early in a process that waits for its turn; nothing in any other, and in what this one starts."""
    if os.environ.pop(ENVIRONMENT, "") and threading.current_thread() is threading.main_thread():
        for number in OF_TERMINAL:
            signal.signal(number, lambda number, _: _came.add(number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, OF_TERMINAL)


def hear() -> bool:
    """From now on they are this process's; whether one has come before."""
    for number in OF_TERMINAL:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    return bool(_came)
