"""The Celery app of a project without Celeriac, as Celery's own documentation has it."""

from celery import Celery

app = Celery("proj")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.imports = ["tasks"]
