"""The tables, in Markdown: a function for each; one for which nothing was measured is empty."""

from collections.abc import Iterable, Sequence

from benchmarks.records import Records
from benchmarks.report.goals import GOALS
from benchmarks.report.rows import Row, rows

VERDICTS = {"goal": "goal reached", "must": "enough", "short": "**falls short**"}


def goals(records: Records) -> str:
    """What must be, what should be, and what this run found."""
    lines = []
    for each in GOALS:
        value = each.value(records)
        if value is not None:
            marks = [_with_unit(mark, each.unit) for mark in (value, each.must, each.goal)]
            lines.append([each.what, *marks, VERDICTS[each.verdict(value)]])
    return _table(["what", "this run", "must", "goal", ""], lines)


def drain(records: Records) -> str:
    """Fastest first."""
    found = sorted(rows(records, "drain"), key=lambda row: -(row.median("drain") or 0))
    lines = [
        [_name(row), row.pool, _rate(row.median("drain")), _between(row), _seconds(row.median("start-up"))]
        for row in found
    ]
    return _table(["contestant", "pool", "tasks/s", "least to most", "start until the first task"], lines)


def enqueue(records: Records) -> str:
    """Single and bulk."""
    lines = [
        [_name(row), _rate(row.median("enqueue single")), _rate(row.median("enqueue bulk"))]
        for row in rows(records, "enqueue single")
    ]
    return _table(["contestant", "one by one, tasks/s", "many, tasks/s"], lines)


def pickup(records: Records) -> str:
    """Idle and loaded, in three percentiles each."""
    lines = [
        [
            _name(row),
            *(_milliseconds(row.percentile("pick-up idle", share)) for share in (0.5, 0.95, 0.99)),
            _rate(row.median("pick-up load")),
            *(_milliseconds(row.percentile("pick-up loaded", share)) for share in (0.5, 0.95, 0.99)),
        ]
        for row in rows(records, "pick-up idle")
    ]
    idle, loaded = ("idle p50", "p95", "p99"), ("loaded p50", "p95", "p99")
    return _table(["contestant", *idle, "load, tasks/s", *loaded], lines)


def worker(records: Records) -> str:
    """What a worker with two slots costs."""
    lines = [
        [
            _name(row),
            row.pool,
            _plain(row.median("idle share"), "{:.2f} %"),
            _plain(row.median("memory PSS"), "{:.0f} MB"),
            _plain(row.median("memory RSS"), "{:.0f} MB"),
            _plain(row.median("growth"), "{:,.0f} B"),
        ]
        for row in rows(records, "idle share")
    ]
    heads = ["contestant", "pool", "idle, of a core", "memory (PSS)", "memory (RSS)", "tables, for each task"]
    return _table(heads, lines)


def claim(records: Records) -> str:
    """Beside the backlog."""
    lines = [
        [_name(row), *(_milliseconds(row.percentile("claim", share)) for share in (0.5, 0.95, 0.99))]
        for row in rows(records, "claim")
    ]
    return _table(["database", "p50", "p95", "p99"], lines)


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    body = [f"| {' | '.join(line)} |" for line in lines]
    if not body:
        return ""
    first = f"| {' | '.join(heads)} |"
    return "\n".join([first, f"|---{'|---:' * (len(heads) - 1)}|", *body])


def _name(row: Row) -> str:
    return f"**{row.title}**" if row.is_ours else row.title


def _between(row: Row) -> str:
    spread = row.spread("drain")
    return "" if spread is None else f"{spread[0]:,.0f} to {spread[1]:,.0f}"


def _rate(value: float | None) -> str:
    return _plain(value, "{:,.0f}")


def _seconds(value: float | None) -> str:
    return _plain(value, "{:.1f} s")


def _milliseconds(value: float | None) -> str:
    return _plain(value, "{:,.1f} ms")


def _plain(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _with_unit(value: float, unit: str) -> str:
    if unit == "×":
        return f"{value:.1f} ×"
    return f"{value:,.0f}{unit}" if unit == "/s" else f"{value:,.1f} {unit}".replace(".0 ", " ")
