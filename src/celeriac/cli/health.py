"""`manage.py celery health`: the probe of `python -m celeriac.health`, with the project's settings."""

from argparse import Namespace

from celery import Celery

from celeriac.cli import output
from celeriac.cli.command import Command
from celeriac.conf import options as settings
from celeriac.health import place, probe
from celeriac.health.__main__ import add_arguments


def _work(_: Celery, options: Namespace) -> int:
    verdict = probe.look(
        place.directory(settings().runtime_directory),
        node=options.node,
        max_age=options.max_age,
        ready=options.ready,
    )
    if options.json:
        output.document(verdict.document())
    else:
        for line in verdict.lines():
            output.line(line)
    return verdict.code


COMMAND = Command(
    "health",
    "Whether the workers of this host live and their loops turn: exit code 0 well, 1 not, 69 no worker.\n"
    "For a probe every few seconds: python -m celeriac.health, which does not import the project.",
    "health --node mails --max-age 60",
    _work,
    add_arguments,
)
