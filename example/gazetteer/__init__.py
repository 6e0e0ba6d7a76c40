"""The project: settings and addresses. There is no celery.py; Celeriac makes the app."""
