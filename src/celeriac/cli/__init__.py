"""The words of `manage.py celery`, a file for each; `output` is the only one that prints."""
