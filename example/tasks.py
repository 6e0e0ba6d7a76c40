"""Tasks beside manage.py: this file is found like those of the apps."""

from datetime import timedelta
from typing import Any

from celery import shared_task
from cities.models import Attempt, Export
from django.conf import settings
from django.utils import timezone

FAILURES = 2


@shared_task(bind=True, autoretry_for=(ConnectionError,), max_retries=5, default_retry_delay=1)
def ask_shaky_server(self: Any) -> str:
    """Ask a server that answers only the third time. Between two attempts the task waits in the database."""
    number = self.request.retries + 1
    error = "the server is down" if number <= FAILURES else ""
    Attempt.objects.create(task_id=self.request.id, number=number, error=error)
    if error:
        raise ConnectionError(error)
    return f"answered at attempt {number}"


@shared_task
def delete_old_exports() -> int:
    """Delete the exports that have been kept long enough; how many. CELERY_BEAT_SCHEDULE calls it."""
    before = timezone.now() - timedelta(minutes=settings.EXPORT_MINUTES)
    old = list(Export.objects.filter(created_at__lt=before))
    for export in old:
        export.path.unlink(missing_ok=True)
        export.delete()
    return len(old)
