"""The gazetteer's settings: an ordinary Django project, and two more apps."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

#: Everything the example writes: the database, exports, logs. Not under version control.
HOME = Path(os.environ.get("GAZETTEER_HOME") or BASE_DIR / "var")
HOME.mkdir(parents=True, exist_ok=True)

SECRET_KEY = "only for this example"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

INSTALLED_APPS = [
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    # The whole installation of background tasks: these two, then `migrate`.
    "django_celery_results",
    "celeriac",
    "cities",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "gazetteer.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": HOME / "gazetteer.sqlite3",
        # A transaction takes the right to write when it begins and waits its turn for it: without these
        # a request may end with "database is locked" while a worker writes.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
#: Private: no URL serves this directory, a view hands out single files.
MEDIA_ROOT = HOME / "media"

# No CELERY_BROKER_URL: the tasks go through the project's own database. With
# CELERY_BROKER_URL = "redis://…" or "amqp://…" the same tasks go through Redis or RabbitMQ.
CELERY_BEAT_SCHEDULE = {
    "delete-old-exports": {
        "task": "tasks.delete_old_exports",
        "schedule": float(os.environ.get("GAZETTEER_CLEANUP_SECONDS") or 30),
    }
}
CELERY_BEAT_SCHEDULE_FILENAME = str(HOME / "celerybeat-schedule")

#: Minutes that an export is kept.
EXPORT_MINUTES = 10

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    # The page asks for the progress three times a second; only its errors are worth a line.
    "loggers": {"django.server": {"level": "ERROR"}},
}
