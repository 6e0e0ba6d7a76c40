"""Celery's options that stand before the command: `manage.py celery -A proj start`."""

from collections.abc import Sequence

from celery import Celery
from celery.app.utils import find_app

from celeriac.cli import django_options
from celeriac.cli.words import value_of, without
from celeriac.errors import CeleriacError

_APP = ("-A", "--app")
_VALUED = (*_APP, "-b", "--broker", "--result-backend", "--loader", "--config", "--workdir")
#: Where each of those belongs that our commands cannot take: settings and tables are read before.
_INSTEAD = {
    "-b": "CELERY_BROKER_URL",
    "--broker": "CELERY_BROKER_URL",
    "--result-backend": "CELERY_RESULT_BACKEND",
}
_QUIET = ("-q", "--quiet")


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What stands before the command, and the command with what follows."""
    position = 0
    while position < len(arguments) and arguments[position].startswith("-"):
        position += 2 if arguments[position] in _VALUED else 1
    return list(arguments[:position]), list(arguments[position:])


def use(leading: Sequence[str], app: Celery, *, word: str) -> None:
    """Put these options into force for a command of ours. Raises CeleriacError for what it cannot take."""
    named = named_app(leading)
    if named is not None and named is not app:
        raise CeleriacError(
            f"{word} is for the project's app {app.main!r}, not for {value_of(leading, _APP)}. "
            'Name that one in CELERIAC = {"APP": "module:app"}.'
        )
    for option in django_options.taken(_without_app(leading)):
        if option not in _QUIET:
            name = option.partition("=")[0]
            setting = _INSTEAD.get(name)
            instead = f"Set {setting}." if setting else "Leave it out."
            raise CeleriacError(f"{word} does not take Celery's option {name}. {instead}")


def named_app(leading: Sequence[str]) -> Celery | None:
    """The app that -A names; None without it. Raises CeleriacError."""
    name = value_of(leading, _APP)
    if name is None:
        return None
    try:
        found: Celery = find_app(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise CeleriacError(f"-A {name}: no Celery app can be imported from there ({error}).") from error
    return found


def _without_app(leading: Sequence[str]) -> list[str]:
    return [word for word in without(leading, _APP) if not word.startswith("-A")]
