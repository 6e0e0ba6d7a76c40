"""Which broker URLs kombu knows."""

from kombu.transport import TRANSPORT_ALIASES


def known_schemes() -> frozenset[str]:
    """The schemes that CELERY_BROKER_URL may begin with."""
    return frozenset(TRANSPORT_ALIASES)
