"""A further condition of a claim, where not every message will do; see `choosing`."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Choice:
    """SQL that follows the others, and the values in it."""

    sql: str = ""
    values: tuple[Any, ...] = ()


EVERYTHING = Choice()
