"""The app, as INSTALLED_APPS names it."""

from django.apps import AppConfig


class CitiesConfig(AppConfig):
    """Cities and countries."""

    name = "cities"
    default_auto_field = "django.db.models.BigAutoField"
