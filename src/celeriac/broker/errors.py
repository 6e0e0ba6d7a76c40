"""The errors that Celery's consumer tells apart: connect again, or go on and tell."""

from kombu.exceptions import KombuError


class BrokerConnectionLost(ConnectionError):
    """The database of the broker cannot be reached; Celery connects again by itself."""


class BrokerRefused(KombuError):
    """The database of the broker refused a statement for a reason that trying again cannot cure."""


class BrokerBusy(BrokerRefused):
    """Other transactions were in the way for longer than the session waits."""
