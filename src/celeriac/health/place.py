"""Where the workers of this host keep their signs of life, for whoever has no Django.

A sign of life is a file: what the worker does, padded to one length, its node name and its process, a line
each. Its time is when the worker's loop last turned, and a lock is on it as long as its process lives.

The probe is started every few seconds on many hosts: the standard library alone, and little of it.
"""

from celeriac.broker import own_place

#: Where CELERIAC["RUNTIME_DIRECTORY"] is set, the probe is told by this variable, or by its option.
VARIABLE = "CELERIAC_RUNTIME_DIRECTORY"
SUFFIX = ".worker"
#: Of the first line.
STATE_LENGTH = 12

#: It has no broker yet, or no more: a new worker would have none either.
CONNECTING = "connecting"
#: Its loop turns, or should.
RUNNING = "running"
#: The pool `solo` runs a task where the loop would turn.
WORKING = "working"
#: It was told to end, and waits for its running tasks.
STOPPING = "stopping"


def directory(configured: str | None) -> str | None:
    """The directory, which may not be there; None: this host has no place that is the user's own."""
    home = configured or own_place.of_user()
    return home and f"{home}/health"
