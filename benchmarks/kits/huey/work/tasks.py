"""Where Huey finds the task."""

from tasks import add

__all__ = ("add",)
