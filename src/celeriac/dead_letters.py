"""The signal that a task's message was given up, so that its result can say so."""

from django.dispatch import Signal

#: Sent with `task_id`, `task_name` and `reason`.
dead_lettered = Signal()
