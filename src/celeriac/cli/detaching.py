"""`--detach`: what is started in the background is this command again, without that option.

Celery starts `python -m celery` with the words of this process, and `celery celery start` is no command.
Everything else about it is Celery's own: privileges, files and directory, and the fork.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import celery.bin.worker
from django.utils.autoreload import get_child_arguments

from celeriac.cli.words import without

_DETACH = ("-D", "--detach")
#: Celery has changed user and group before the command begins again.
_PRIVILEGES = ("--uid", "--gid")
#: Options of one letter and without a value, written as one: -BD.
_TOGETHER = re.compile(r"-[BDE]*D[BDE]*")


def is_asked_for(words: Sequence[str]) -> bool:
    """Whether a worker is to go into the background."""
    return any(word in _DETACH or _TOGETHER.fullmatch(word) for word in words)


@contextmanager
def as_this_command() -> Iterator[None]:
    """While it lasts, Celery's worker detaches to the command line of this process."""
    theirs = celery.bin.worker.detach
    if not is_asked_for(sys.argv[1:]):
        yield  # A command that was called from code has no command line that could begin again.
        return
    # Now: Celery may be told to change the directory, and `manage.py` is found from this one.
    executable, *arguments = get_child_arguments()
    again = attached([str(Path(word).absolute()) if word == sys.argv[0] else word for word in arguments])

    def detach(*_: Any, **options: Any) -> Any:
        return theirs(executable, again, **options)

    celery.bin.worker.detach = detach
    try:
        yield
    finally:
        celery.bin.worker.detach = theirs


def attached(words: Sequence[str]) -> list[str]:
    """The words of a worker that stays where it is started."""
    kept = [word for word in without(words, _PRIVILEGES) if word not in _DETACH]
    apart = [word.replace("D", "") if _TOGETHER.fullmatch(word) else word for word in kept]
    return [word for word in apart if word != "-"]
