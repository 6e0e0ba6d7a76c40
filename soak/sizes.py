"""How much of everything a run takes: short in the tests, long for the report."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a run of one row."""

    tasks: int
    #: A task takes between nothing and this.
    longest_seconds: float
    #: How often a fault strikes.
    blows: int
    chords: int
    header: int
    chains: int
    links: int
    #: How often each kill point is reached.
    rounds: int
    #: How long nothing moves, after the load, before what is left is called stuck.
    settle_seconds: float
    #: How long a warm shutdown may take beyond the longest task; stock Celery takes 2 s on a busy machine.
    stop_seconds: float
    #: Of one wait within a row: what hangs is reported, not waited for.
    limit_seconds: float


LONG = Sizes(
    tasks=10_000,
    longest_seconds=0.02,
    blows=20,
    chords=500,
    header=20,
    chains=500,
    links=10,
    rounds=20,
    settle_seconds=60.0,
    stop_seconds=2.0,
    limit_seconds=600.0,
)
QUICK = Sizes(
    tasks=1000,
    longest_seconds=0.04,
    blows=5,
    chords=30,
    header=10,
    chains=30,
    links=10,
    rounds=2,
    settle_seconds=30.0,
    stop_seconds=10.0,
    limit_seconds=120.0,
)
#: For the tests: every fault strikes, and a row ends within half a minute.
SHORT = Sizes(
    tasks=300,
    longest_seconds=0.06,
    blows=3,
    chords=12,
    header=6,
    chains=12,
    links=10,
    rounds=1,
    settle_seconds=30.0,
    stop_seconds=10.0,
    limit_seconds=60.0,
)

SIZES: dict[str, Sizes] = {"long": LONG, "quick": QUICK, "short": SHORT}
