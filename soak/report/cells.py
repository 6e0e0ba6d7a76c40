"""Tables of the page, and figures as they stand in them."""

from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Markdown; nothing where there is no row."""
    if not rows:
        return ""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def seconds(value: float | None) -> str:
    """As short as it can be read."""
    return "–" if value is None else f"{value:.1f} s"
