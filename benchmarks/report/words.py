"""What the page says about its tables: how each figure was come by, and what it does not say."""

GOALS = "Ratios within this one run, of medians."
DRAIN = """
A queue that was filled while no worker ran, two tasks at a time, results stored: from the end of the
first task until the last result can be read. A task adds two numbers.
"""
ENQUEUE = """
One process, no worker. One by one each task is committed by itself; many are enqueued by the call that
the contestant has for it, in one transaction, or in a loop where there is none.
"""
PICKUP = """
From the return of the call that enqueued until the task runs. Idle: a task every 60 ms or so. Loaded: at
half of the rate at which this contestant drained, 200 a second at the most. 0 ms: the task ran before
the call had returned.
"""
WORKER = """
With two slots, idle after it has worked; all its processes together. PSS counts once what processes
share. The tables' growth is that of the database for each finished task, result included.
"""
CLAIM = """
64 messages by one claim, with the acks of the 64 before, beside {claim_waiting:,.0f} that wait.
"""
CAVEATS = """
One machine, where contestant, servers and benchmark share the cores; another machine gives other
figures, and ratios travel better than rates.

A task that does nothing measures the way of a task and nothing else: tasks that take 50 ms run equally
fast everywhere.

Servers have their own default settings. Every contestant on SQLite is given WAL and synchronous=NORMAL
for Django's connections, on the servers connections that stay open.

Contestants have their own defaults otherwise: Celery without Celeriac acknowledges early, writes no row
before the end and stores less in it; Celeriac acknowledges late and stores every state.

The ceiling is Celery with its transport in memory, told to look every millisecond and to hold 64 tasks
for each slot.

What a server uses is not in a worker's processor time and memory.
"""


def joined(text: str) -> str:
    """One paragraph on one line."""
    return " ".join(text.split())
