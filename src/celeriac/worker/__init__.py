"""What Celeriac adds to a Celery worker: its presence, its records, the platform's rules."""
