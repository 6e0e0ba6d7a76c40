"""Many rows of a filter or many ids, a batch at a time; what came of them so far."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.db.models import Max, QuerySet

#: Of one transaction. A message has a megabyte at the most, and a kilobyte as a rule.
SIZE = 500


@dataclass(slots=True)
class SentAgain:
    """How many were sent, and why others were not."""

    sent: int = 0
    #: How many, by the reason.
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def done(self) -> int:
        """How many were looked at."""
        return self.sent + self.refused.total()

    def add(self, sent: int, refused: Iterable[str], progress: "Progress | None") -> None:
        """Count a batch, and tell of it."""
        self.sent += sent
        self.refused.update(refused)
        if progress is not None:
            progress(self)


#: Told after each batch.
Progress = Callable[[SentAgain], object]


def of_ids(given: Iterable[Any]) -> Iterator[list[Any]]:
    """Batches of ids, each id once."""
    ids = iter(dict.fromkeys(given))
    while batch := list(islice(ids, SIZE)):
        yield batch


def of_rows(rows: QuerySet[Any], name: str) -> Iterator[list[Any]]:
    """Batches of one column's values, in order of the keys: of the rows that are there at the beginning.

    A row may leave the filter while others are sent, and new ones may come into it.
    """
    if rows.query.is_sliced:
        yield from of_ids(rows.values_list(name, flat=True))
        return
    ordered = rows.order_by("pk")
    newest, last = rows.order_by().aggregate(newest=Max("pk"))["newest"], None
    while newest is not None:
        left = ordered.filter(pk__lte=newest) if last is None else ordered.filter(pk__gt=last, pk__lte=newest)
        batch = list(left.values_list("pk", name)[:SIZE])
        if not batch:
            return
        last = batch[-1][0]
        yield [value for _, value in batch]
