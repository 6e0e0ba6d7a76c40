"""Stored texts as people read them."""

import json


def repr_of(stored: str | None) -> str | None:
    """The repr of arguments in a column that has it as JSON, or as somebody else wrote it."""
    if stored is None:
        return None
    try:
        found = json.loads(stored)
    except ValueError:
        return stored
    return found if isinstance(found, str) else stored


def error(exception: str, message: str) -> str:
    """Class and message of an error, on one line."""
    return " ".join(f"{exception}: {message}".strip(": ").split())
