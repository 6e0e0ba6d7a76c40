"""Django finds `manage.py celery` here."""
