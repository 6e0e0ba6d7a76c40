"""Django's settings for the tests: one database of each vendor, named for this test session.

`tests/conftest.py` puts the session's name and directory into the environment, so a process that a
test starts (`DJANGO_SETTINGS_MODULE=tests.settings`) finds the same databases.
"""

import os
import tempfile
from pathlib import Path

from tests.servers import DATABASE_SERVERS

SESSION = os.environ.get("CELERIAC_TEST_SESSION", "celeriac_test")
DIRECTORY = Path(os.environ.get("CELERIAC_TEST_DIRECTORY", tempfile.gettempdir()))

SECRET_KEY = "only for tests"
USE_TZ = True
TIME_ZONE = "UTC"
ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django_celery_results",
    "celeriac",
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DIRECTORY / f"{SESSION}.sqlite3",
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    },
    "postgresql": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": SESSION,
        **DATABASE_SERVERS["postgresql"].django_settings(),
    },
    "mariadb": {
        "ENGINE": "django.db.backends.mysql",
        "NAME": SESSION,
        "OPTIONS": {"charset": "utf8mb4"},
        **DATABASE_SERVERS["mariadb"].django_settings(),
    },
}
