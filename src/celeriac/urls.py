"""Celeriac's pages: `path("tasks/", include("celeriac.urls"))`."""

from django.urls import path

from celeriac.health.view import healthz
from celeriac.metrics.view import metrics

app_name = "celeriac"
urlpatterns = [
    path("healthz/", healthz, name="healthz"),
    path("metrics/", metrics, name="metrics"),
]
