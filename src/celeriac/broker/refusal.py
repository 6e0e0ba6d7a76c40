"""The errors of `delay()` for a message that no worker would run."""

from kombu.exceptions import EncodeError


class MessageRefused(EncodeError):
    """The message is one that no worker would run; its text says all."""


class MessageTooLarge(MessageRefused):
    """The serialized message is over MAX_MESSAGE_BYTES."""


class MessageTooDeep(MessageRefused):
    """Lists and dicts stand in each other deeper than a worker reads."""
