"""The `django-db` results: django-celery-results' own tables, from the moment of publish."""
