"""A project with Celery; `shared_task` needs the app."""

from proj.celery import app as celery_app

__all__ = ("celery_app",)
