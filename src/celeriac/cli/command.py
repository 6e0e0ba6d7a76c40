"""What a command of ours is: its words, its options and an example; a line of words becomes its options."""

from argparse import Action, ArgumentError, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn

from celery import Celery
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from celeriac.broker.explaining import in_one_line
from celeriac.cli import output
from celeriac.cli.ending import explained
from celeriac.cli.words import PROGRAM
from celeriac.errors import CeleriacError, TablesMissing

_QUERY = "--query"
#: As a shell has it for SIGPIPE.
_NOBODY_READS = 141


def _no_arguments(_: ArgumentParser) -> None:
    """It has none beside --json."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command; each module of `cli` that has one names it COMMAND or, for several, by their words."""

    name: str
    #: What it does and says, in sentences for its --help.
    description: str
    #: What stands behind `manage.py celery` in the example of its --help.
    example: str
    #: Does it and returns the exit code: 0 well, 1 a problem found or a task failed, 69 nobody is there,
    #: 124 it took too long, 141 nobody reads what it prints. A usage error, and everything that raises
    #: CeleriacError, is 2.
    work: Callable[[Celery, Namespace], int]
    arguments: Callable[[ArgumentParser], Any] = _no_arguments

    def run(self, app: Celery, words: Sequence[str]) -> int:
        """Read the words and do it. Raises CeleriacError with one line that says what to do."""
        parser = self.parser()
        if {"-h", "--help"} & set(words):
            output.line(parser.format_help().rstrip())
            return 0
        try:
            with in_one_line(app):
                return self.work(app, parser.parse_args(words))
        except (DatabaseError, TablesMissing) as error:
            raise explained(app, error) from error
        except ImproperlyConfigured as error:
            raise CeleriacError(str(error)) from error
        except output.NobodyReads:
            output.let_go()
            return _NOBODY_READS

    def parser(self) -> ArgumentParser:
        """Of its words; every command can say all it says as JSON."""
        parser = _Parser(
            prog=f"{PROGRAM} {self.name}",
            description=self.description,
            epilog=f"Example: python {PROGRAM} {self.example}",
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )
        self.arguments(parser)
        parser.add_argument("-j", "--json", action="store_true", help="for machines: the same as JSON")
        return parser


class _Parser(ArgumentParser):
    """Errors are one line, and name the option that was probably meant."""

    def error(self, message: str) -> NoReturn:
        end = "" if message.endswith("?") else "."
        raise CeleriacError(f"{self.prog.split()[-1]}: {message}{end} Its options: {self.prog} --help")

    def _check_value(self, action: Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            near = get_close_matches(str(value), action.choices, n=1)
            meant = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(action.choices)}"
            raise ArgumentError(None, f"there is no {value!r}{meant}")

    def parse_args(self, words: Any = None, namespace: Any = None) -> Any:
        # An option may stand between the words.
        found, unknown = self.parse_known_intermixed_args(self._joined(words), namespace)
        if unknown:
            self.error(_unknown(unknown[0], list(self._option_string_actions)))
        return found

    def _joined(self, words: Sequence[str]) -> list[str]:
        """`--query -queue:slow` as one word: a query may begin with a minus, and is no option then."""
        found: list[str] = []
        for word in words:
            if found and found[-1] == _QUERY and word not in self._option_string_actions:
                found[-1] = f"{_QUERY}={word}"
            else:
                found.append(word)
        return found


def _unknown(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word.partition("=")[0], known, n=1)
    meant = f"; did you mean {near[0]}?" if near and word.startswith("-") else ""
    return f"no option {word!r}{meant}" if word.startswith("-") else f"nothing is expected at {word!r}"
