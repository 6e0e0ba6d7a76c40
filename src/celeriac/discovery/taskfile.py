"""What discovery says about one file."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TaskFile:
    """One task file (or a directory that could not be searched) and what becomes of it."""

    path: Path
    #: The project's directory, None when there is none.
    root: Path | None = None
    #: The only name under which the file is imported; None when it is left out.
    module: str | None = None
    #: Why the file is left out.
    reason: str | None = None
    #: Why the file stops the start: its syntax error, with the line.
    error: str | None = None
    #: Whether it is `<app>.tasks` of an installed app.
    installed: bool = False
    #: Left out only because no task was seen in it, which its author may know better.
    is_doubtful: bool = False

    @property
    def is_accepted(self) -> bool:
        """Whether `import_all` imports this file (or stops at its syntax error)."""
        return self.module is not None

    @property
    def shown(self) -> str:
        """The path as people read it: relative to the project where it can be."""
        if self.root and self.path.is_relative_to(self.root):
            return self.path.relative_to(self.root).as_posix()
        return str(self.path)
