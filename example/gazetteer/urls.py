"""The gazetteer's addresses."""

from cities import views
from django.urls import path

urlpatterns = [
    path("", views.index, name="index"),
    path("progress/", views.progress, name="progress"),
    path("import/", views.start_import, name="start-import"),
    path("shaky/", views.ask_shaky_server, name="ask-shaky-server"),
    path("exports/", views.start_export, name="start-export"),
    path("exports/<uuid:pk>/", views.download, name="download"),
]
