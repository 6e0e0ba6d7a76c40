"""Joins everything when Django starts."""

import os

from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured

from celeriac.cli import keys

# Before the project's own code is imported.
keys.note_if_waiting()


class CeleriacConfig(AppConfig):
    """`"celeriac"` in INSTALLED_APPS."""

    name = "celeriac"
    verbose_name = "Celeriac"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Give the project its Celery app; wrong settings are told where the app is used.

        Raises ImproperlyConfigured where the app that has the table of results is not installed.
        """
        if not apps.is_installed("django_celery_results"):
            # Django's own words name neither the setting nor what to add to it.
            raise ImproperlyConfigured(
                "Celeriac keeps results in a table of django-celery-results: INSTALLED_APPS needs "
                '"django_celery_results" beside "celeriac".'
            )
        from celeriac import app, checks, control, publisher
        from celeriac.doctor import system_checks
        from celeriac.errors import WrongSetting
        from celeriac.worker import expiring, inspected, rejected, retried, steps, stopping, unstored

        checks.register()
        system_checks.register()
        try:
            celery_app = app.setup()
        except WrongSetting as error:
            app.setup_broken(error)
            return
        publisher.install(celery_app)
        control.install(celery_app)
        steps.install(celery_app)
        stopping.install(celery_app)
        rejected.install()
        unstored.install()
        inspected.install()
        expiring.install()
        retried.install()
        if "CELERIAC_TASK_LOG" in os.environ:
            # A spawned process of a pool whose log is for people.
            from celeriac.cli import task_log

            task_log.install()
