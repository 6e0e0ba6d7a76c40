"""Stored texts as people read them."""

import json

_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))


def repr_of(stored: str | None) -> str | None:
    """The repr of arguments in a column that has it as JSON, or as somebody else wrote it."""
    if stored is None:
        return None
    try:
        found = json.loads(stored)
    except (ValueError, RecursionError):
        return stored
    return found if isinstance(found, str) else stored


def error(exception: str, message: str) -> str:
    """Class and message of an error, on one line."""
    return " ".join(f"{exception}: {message}".strip(": ").split())


def in_words(seconds: float) -> str:
    """`12 ms`, `1.3 s`, `4 m 10 s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for size, unit, rest_size, rest_unit in _UNITS:
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            rest //= rest_size
            return f"{whole} {unit} {rest} {rest_unit}" if rest else f"{whole} {unit}"
    raise AssertionError("unreachable")
