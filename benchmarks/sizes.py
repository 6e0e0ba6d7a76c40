"""How many tasks each measure takes: enough for a steady rate, and a run within 25 minutes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a run; a slow contestant is given `_slow` ones."""

    single: int
    single_slow: int
    #: By a call for many, where the contestant has one; otherwise as many as `single`.
    bulk: int
    drain: int
    drain_slow: int
    idle_seconds: float
    pickup: int
    load: int
    claim_waiting: int
    claims: int
    rounds: int
    #: Of one step of a measurement: what hangs is reported, not waited for.
    limit_seconds: float


STANDARD = Sizes(
    single=500,
    single_slow=200,
    bulk=10_000,
    drain=1500,
    drain_slow=300,
    idle_seconds=3.0,
    pickup=60,
    load=200,
    claim_waiting=200_000,
    claims=100,
    rounds=3,
    limit_seconds=60.0,
)
QUICK = Sizes(
    single=200,
    single_slow=60,
    bulk=1000,
    drain=400,
    drain_slow=80,
    idle_seconds=2.0,
    pickup=20,
    load=40,
    claim_waiting=20_000,
    claims=20,
    rounds=1,
    limit_seconds=60.0,
)
#: Proves that everything works, and measures nothing.
TINY = Sizes(
    single=5,
    single_slow=5,
    bulk=20,
    drain=20,
    drain_slow=20,
    idle_seconds=0.1,
    pickup=3,
    load=5,
    claim_waiting=200,
    claims=2,
    rounds=1,
    limit_seconds=60.0,
)
