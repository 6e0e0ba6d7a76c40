"""Celeriac's pages: `path("tasks/", include("celeriac.urls"))`."""

from django.urls import path

from celeriac.health.view import healthz

app_name = "celeriac"
urlpatterns = [path("healthz/", healthz, name="healthz")]
