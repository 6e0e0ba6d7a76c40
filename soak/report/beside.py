"""The first table of the page: the faults that peers were dealt too, and what each system made of them."""

from collections.abc import Sequence

from soak.faults import ALL as FAULTS
from soak.faults.stopped import LOST_AFTER_SECONDS
from soak.performing import Outcome
from soak.report.cells import seconds, table
from soak.sides import ALL as SIDES
from soak.sides import VISIBILITY_SECONDS

TEXT = """\
## Side by side

The faults that can be dealt to others too: tasks lost, runs beyond the first, what was stuck, and the longest
time until a task that was struck ran again ("never": some did not while it was looked). Of several seeds the
sums, and the longest time. Each system has its own defaults, but for two times of Celeriac's, which are set
for these rows: Redis gives back what a killed worker held after {visibility} s (to Celery after an hour), and
in F5 a silent worker is held for lost after {silence:.0f} s, not 30 s. What comes back later
than was looked is counted as lost here.

"""


def text(outcomes: Sequence[Outcome]) -> str:
    """Nothing where no peer took part."""
    rows = {each.row for each in outcomes if not each.is_ours}
    sides = [side for side in SIDES if any(each.side == side.name for each in outcomes)]
    if not rows:
        return ""
    lines = [
        [f"{fault.row} {fault.title}", *(_cell(_of(outcomes, fault.row, side.name)) for side in sides)]
        for fault in FAULTS
        if fault.row in rows
    ]
    begin = TEXT.format(visibility=VISIBILITY_SECONDS, silence=LOST_AFTER_SECONDS)
    return begin + table(["fault", *(side.title for side in sides)], lines)


def _of(outcomes: Sequence[Outcome], row: str, side: str) -> list[Outcome]:
    return [each for each in outcomes if (each.row, each.side) == (row, side)]


def _cell(outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return "–"
    counts = [each.counts for each in outcomes]
    lost, twice, stuck = (
        sum(getattr(each, name) for each in counts) for name in ("lost", "duplicated", "stuck")
    )
    longest = max((each.recovered_max for each in counts if each.recovered_max is not None), default=None)
    figures = [f"lost {_marked(lost)}", f"twice {twice}", f"stuck {_marked(stuck)}"]
    if any(each.blows for each in outcomes) and (lost or stuck):
        figures.append("never")
    elif longest is not None:
        figures.append(seconds(longest))
    return "<br>".join(figures)


def _marked(count: int) -> str:
    return f"**{count:,}**" if count else "0"
