"""The rows of the report: each contestant that was measured with each of its pools."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.contestants import ALL, Contestant
from benchmarks.records import Records


@dataclass(frozen=True, slots=True)
class Row:
    """A contestant, a pool, and what was found for them."""

    contestant: Contestant
    pool: str
    records: Records

    @property
    def title(self) -> str:
        return self.contestant.title

    @property
    def is_ours(self) -> bool:
        return self.contestant.module == "celeriac"

    def median(self, figure: str) -> float | None:
        return self.records.median(self.contestant.name, self.pool, figure)

    def percentile(self, figure: str, share: float) -> float | None:
        return self.records.percentile(self.contestant.name, self.pool, figure, share)

    def spread(self, figure: str) -> tuple[float, float] | None:
        return self.records.spread(self.contestant.name, self.pool, figure)


def rows(records: Records, figure: str) -> Iterator[Row]:
    """Those for which there is such a figure, in the order of the contestants."""
    for contestant in ALL:
        for pool in contestant.pools:
            row = Row(contestant, pool.name, records)
            if row.median(figure) is not None:
                yield row
