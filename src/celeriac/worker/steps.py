"""What a worker does beyond Celery, at its start and at its end."""
from celery import Celery
def install(app: Celery) -> None:
    pass
