"""A command with commands below it: `tasks`, `tasks show`, `tasks types`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from celery import Celery

from celeriac.cli.command import Command
from celeriac.errors import CeleriacError


@dataclass(frozen=True, slots=True)
class Group:
    """The command itself, and by a word behind its own those below it."""

    main: Command
    #: With the line that the help of the main one has for it.
    below: dict[str, tuple[Command, str]]

    def run(self, app: Celery, words: Sequence[str]) -> int:
        """Do as `Command.run` does of the one that is named."""
        word = words[0] if words else ""
        if word in self.below:
            return self.below[word][0].run(app, words[1:])
        if word.isalpha() and (near := get_close_matches(word, self.below, n=1)):
            raise CeleriacError(f"{self.main.name}: there is no {word!r}. Did you mean {near[0]}?")
        lines = [f"  {self.main.name} {name:<10}{summary}" for name, (_, summary) in self.below.items()]
        text = f"{self.main.description}\n\n" + "\n".join(lines)
        return replace(self.main, description=text).run(app, words)
