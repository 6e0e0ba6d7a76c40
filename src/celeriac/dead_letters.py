"""The signal that a task's message was given up, so that its result can say so."""

from django.dispatch import Signal

#: The `reason` of a message whose time to live ended in the queue.
EXPIRED = "expired before a worker took it"
#: The `reason` of a message that was revoked while it waited in the outbox.
REVOKED = "revoked before it was sent"

#: Sent with `task_id`, `task_name`, `reason`, and `payload`: the message as its row has it.
dead_lettered = Signal()
