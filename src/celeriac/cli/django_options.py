"""Django's options that every command has, and what each means for `manage.py celery`."""

import os
from collections.abc import Sequence

from celeriac.cli.words import without

#: Django has acted upon them before it calls a command.
_SETTLED = ("--settings", "--pythonpath")
#: Every command of Django's takes them. They mean nothing to ours, whose log level is -l.
_OF_OURS = ("-v", "--verbosity")
TRACEBACK = "--traceback"
#: What Celery reads instead of the options; -C is its own word for the first one.
_ENVIRONMENT = {
    "--no-color": ("NO_COLOR", "1"),
    "-C": ("NO_COLOR", "1"),
    "--force-color": ("FORCE_COLOR", "1"),
    "--skip-checks": ("CELERY_SKIP_CHECKS", "true"),
}


def without_settled(words: Sequence[str]) -> list[str]:
    """The words but for what Django has acted upon."""
    return without(words, _SETTLED)


def taken(words: Sequence[str]) -> list[str]:
    """The words of a command of ours but for Django's own options, which are put into force."""
    for word in words:
        if word in _ENVIRONMENT:
            name, value = _ENVIRONMENT[word]
            os.environ[name] = value
    kept = [word for word in words if word not in _ENVIRONMENT and word != TRACEBACK]
    return [word for word in without(kept, _OF_OURS) if not _is_short_verbosity(word)]


def _is_short_verbosity(word: str) -> bool:
    return word[:2] == "-v" and word[2:].isdigit()
