"""The named points at which a process is made to kill itself: where, and which call of how many."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """A place in Celeriac's or Celery's code, found by its name from outside."""

    name: str
    #: `module:path.of.function`; several where the function is imported by its name.
    targets: tuple[str, ...]
    when: str
    #: The first call that may be the last, and how many calls lie between two that may.
    first: int = 1
    every: int = 1


def _both(name: str, *targets: str) -> tuple[Point, Point]:
    return Point(f"{name}-before", targets, "before"), Point(f"{name}-after", targets, "after")


def _note(name: str, when: str, first: int) -> Point:
    """A task notes its beginning and its end: every second call."""
    return Point(name, ("celeriac.results.journal:Journal.append",), when, first, 2)


_CLAIMS, _WRITE = "celeriac.broker.claims:Claims", "celeriac.broker.claims:write"
_FLUSHER, _REAPER = "celeriac.worker.flusher:Flusher", "celeriac.broker.reaper:Reaper"
_CHORDS = "celeriac.results.chords"

#: Of the process that publishes.
PUBLISH = (
    *_both("publish-write", "celeriac.broker.writing:write"),
    *_both("publish-insert", "celeriac.broker.writing:insert_all"),
    Point("publish-wake", ("celeriac.broker.store:Store.wake_consumers",), "before"),
)
#: Of a worker's main process and of its pool.
CLAIM = (
    *_both("claim", f"{_CLAIMS}._claim"),
    Point("claim-held", ("celeriac.broker.deliveries:Deliveries.hold",), "after"),
)
START = (
    *_both("start-handing", "celery.concurrency.base:BasePool.apply_async"),
    _note("start-noting", "before", 1),
    _note("start-noted", "after", 1),
)
ACK = (
    _note("end-noting", "before", 2),
    _note("end-noted", "after", 2),
    *_both("ack", "celeriac.broker.deliveries:Deliveries.ack"),
    *_both("ack-write", _WRITE),
)
FLUSH = (
    *_both("flush", f"{_FLUSHER}._flush"),
    Point("flush-read", (f"{_FLUSHER}._read",), "after"),
    *_both("flush-store", "celeriac.results.notes:store"),
    Point("flush-committed", (f"{_CLAIMS}.exchange",), "after"),
    *_both("flush-confirm", "celeriac.results.journal:Reader.confirm"),
)
#: Of a worker that finds another one dead.
REAP = (
    *_both("reap-lose", f"{_REAPER}.lose"),
    Point("reap-recovered", ("celeriac.worker.recovery:_recover",), "after"),
    Point("reap-restored", ("celeriac.broker.queries.restoring:restore",), "after"),
)
CHORD = (
    *_both("chord-ended", f"{_CHORDS}:part_ended"),
    Point("chord-part", (f"{_CHORDS}:_insert_parts",), "after"),
    *_both("chord-send", f"{_CHORDS}:_send"),
    Point("chord-marked", (f"{_CHORDS}:_mark_sent",), "after"),
)
