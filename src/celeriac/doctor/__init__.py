"""`manage.py celery doctor`: what will make tasks fail, wait or vanish, and how to mend it."""
