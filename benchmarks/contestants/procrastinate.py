"""procrastinate, which is made for PostgreSQL alone."""

from benchmarks.contestants.base import SLOTS, Contestant, Pool, setting

CONTESTANTS = (
    Contestant(
        name="procrastinate-postgresql",
        title="procrastinate, PostgreSQL",
        kit="procrastinate",
        module="procrastinate",
        needs=("postgresql",),
        apps=("procrastinate.contrib.django",),
        settings=lambda _: setting("PROCRASTINATE_IMPORT_PATHS", ["tasks"]),
        pools=(Pool("threads", ("manage.py", "procrastinate", "worker", "-c", str(SLOTS))),),
        is_slow=True,
        has_bulk=True,
        note="procrastinate stores that a job succeeded, but not the value that it returned.",
    ),
)
