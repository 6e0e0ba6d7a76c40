"""The signal that a task's message was given up, so that its result can say so, and where to look."""

from django.dispatch import Signal

#: The `reason` of a message whose time to live ended in the queue.
EXPIRED = "expired before a worker took it"
#: The `reason` of a message that was revoked while it waited in the outbox.
REVOKED = "revoked before it was sent"
#: How the `reason` begins of a message that nobody can read, of one whose task nobody knows, and of one that
#: ends whoever runs it.
UNREADABLE, UNKNOWN_TASK, NEVER_FINISHED = "cannot be read", "no worker knew its task", "delivered "

#: Sent with `task_id`, `task_name`, `reason`, and `payload`: the message as its row has it.
dead_lettered = Signal()


def shown_by(task_id: str | None) -> str:
    """The command that shows the letter: its number is known once it is written."""
    return f"manage.py celery dead{f' id:{task_id}' if task_id else ''}"
