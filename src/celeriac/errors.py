"""Every error that Celeriac raises on purpose; each message says what to do next."""

from django.core.exceptions import ImproperlyConfigured


class CeleriacError(Exception):
    """Base of all errors below; commands print it as one line and exit with 2."""


class WrongSetting(CeleriacError, ImproperlyConfigured):
    """A setting cannot be used as it is; the message names it and what would do."""


class UnknownDatabase(WrongSetting):
    """`django://ALIAS` names an alias that DATABASES does not have."""


class UnsupportedDatabase(CeleriacError):
    """The database, or its version, lacks what the broker needs."""


class TablesMissing(CeleriacError):
    """The tables of Celeriac or of django-celery-results are not there yet."""


class Unreachable(CeleriacError):
    """The broker or a database does not answer a command."""


class HeldByTransaction(CeleriacError):
    """The caller's own open transaction keeps the workers from answering."""


class NodeNameTaken(CeleriacError):
    """Another live worker already has this node name."""


class NodeNameTooLong(CeleriacError):
    """A node name does not fit into the broker's tables."""


class NameRefused(CeleriacError, ValueError):
    """A name of a queue, an exchange, a key or a task fits into no table."""


class TaskFileError(CeleriacError):
    """A `tasks.py` cannot be imported; the message names file, line and cause."""


class UnknownSchedule(CeleriacError):
    """No entry of the schedule has this name, or it is not what was asked for."""


class CannotBeSentAgain(CeleriacError):
    """A task's message or a dead letter is not sent again; the message says why and what to do."""


class QueryError(CeleriacError):
    """A query of tasks cannot be read; the message says what to write instead."""
