"""How the app reaches a spawned child of the pool: it is found again there, not copied.

Celery pickles an app by its settings. The copy would lack what Celeriac adds to an app, its defaults and
the tasks that it discovers, and the class that publishes cannot be pickled at all.
"""

import copyreg
from typing import Any

import django
from celery import Celery

from celeriac.app import get_app


def install(app: Celery) -> None:
    """Let this app be pickled as a reference; every other one as Celery does it."""

    def reduce(which: Celery) -> Any:
        return (found_again, (dict(which.conf.changes),)) if which is app else which.__reduce__()

    copyreg.pickle(type(app), reduce)


def found_again(changes: dict[str, Any]) -> Celery:
    """The app of this process, with the settings that the worker's command line has changed."""
    django.setup()
    app = get_app()
    app.conf.update(changes)
    return app
