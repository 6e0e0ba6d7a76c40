"""`docs/benchmark.svg`: tasks per second drained, a bar for each contestant; for light and dark pages."""

from html import escape

from benchmarks.records import Records
from benchmarks.report.rows import Row, rows

WIDTH, LEFT, RIGHT, TOP, LINE, BAR = 860, 340, 130, 64, 26, 16
STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .small { font-size: 12px; fill: #59636e }
  .ours { fill: #2f7d4f } .theirs { fill: #9aa4af } .engine { fill: #c9a227 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 }
    .ours { fill: #56b37f } .theirs { fill: #57606a } .engine { fill: #b08d1e }
  }
"""


def svg(records: Records) -> str:
    """The fastest pool of each contestant, fastest first."""
    found = _fastest(records)
    most = max((row.median("drain") or 0 for row in found), default=1)
    height = TOP + LINE * len(found) + 34
    machine = records.machine
    about = f"median of {records.rounds} · {machine.cores} cores · {machine.date[:10]}"
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="t">',
        f"<style>{STYLE}</style>",
        '<title id="t">Tasks per second drained by each contestant</title>',
        '<text class="title" x="16" y="26">Tasks per second drained, results stored, two at a time</text>',
        f'<text class="small" x="16" y="46">Each with its fastest pool · {escape(about)}</text>',
        *(_bar(row, TOP + LINE * position, most) for position, row in enumerate(found)),
        f'<text class="small" x="16" y="{height - 12}">make bench measures it on your machine.</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _fastest(records: Records) -> list[Row]:
    best: dict[str, Row] = {}
    for row in sorted(rows(records, "drain"), key=lambda row: -(row.median("drain") or 0)):
        best.setdefault(row.contestant.name, row)
    return list(best.values())


def _bar(row: Row, top: int, most: float) -> str:
    rate = row.median("drain") or 0
    width = max(1.0, (WIDTH - LEFT - RIGHT) * rate / most)
    kind = "engine" if row.contestant.is_engine_alone else "ours" if row.is_ours else "theirs"
    label = escape(row.title)
    base = top + BAR - 3
    return (
        f'<text x="{LEFT - 10}" y="{base}" text-anchor="end">{label}</text>'
        f'<rect class="{kind}" x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2"/>'
        f'<text x="{LEFT + width + 8:.1f}" y="{base}">{rate:,.0f}'
        f'<tspan class="small"> {escape(row.pool)}</tspan></text>'
    )
