"""Celery's command `worker` by itself: to import all the others first takes a third of a worker's start."""

import os
from collections.abc import Sequence

from celery import Celery
from celery.bin.base import CLIContext
from celery.bin.worker import worker

from celeriac.cli.ending import code_of
from celeriac.cli.words import PROGRAM


def run(app: Celery, options: Sequence[str]) -> int:
    """Run the worker and stay until it ends; its exit code. Usage errors are printed by Celery with code 2.

    Raises CeleriacError where the broker or a database does not answer.
    """
    # As Celery's group of commands does for each of them.
    for kind in ("worker", "preload"):
        worker.params.extend(each for each in app.user_options.get(kind, ()) if each not in worker.params)
    context = CLIContext(app=app, no_color=bool(os.environ.get("NO_COLOR")), workdir=None, quiet=True)
    return code_of(
        app,
        lambda: worker.main(
            args=list(options),
            prog_name=f"{PROGRAM} worker",
            auto_envvar_prefix="CELERY_WORKER",
            obj=context,
        ),
    )
