"""What the doctor says: a kind of fault, which is always the same, and where it was found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad it is: an error is why tasks fail, wait or are lost; a warning is why they may."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault, with why it is one and what mends it; the page docs/doctor.md lists them all."""

    code: str
    level: Level
    #: What it is, in the list of all.
    title: str
    why: str
    fix: str
    #: Whether it matters in production alone: told with --deploy.
    is_of_production: bool = False

    def found(self, what: str, *, fix: str | None = None) -> "Finding":
        """One of it, in a sentence that says where; `fix` where the place knows better than the kind."""
        return Finding(self, what, fix or self.fix)


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of the project, its database, broker or workers."""

    kind: Kind
    what: str
    fix: str

    @property
    def is_error(self) -> bool:
        """Whether the command ends with 1 for it."""
        return self.kind.level is Level.ERROR

    def document(self) -> dict[str, str]:
        """For machines; the code stays the same from version to version."""
        return {
            "code": self.kind.code,
            "level": str(self.kind.level),
            "what": self.what,
            "why": self.kind.why,
            "fix": self.fix,
        }


#: A check looks at the patient and says what it finds; it changes nothing.
Check = Callable[[Any], Iterator[Finding]]
