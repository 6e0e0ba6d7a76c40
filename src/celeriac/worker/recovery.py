"""What a killed worker's processes noted and its flusher did not store: stored by the next one on this host.

The journals of a process that is gone say which tasks had ended. Their results are written and their
messages acknowledged under the tokens of their claims, before the messages of that worker go to the others:
so only what ran at the moment of the kill runs again. Another host cannot read them; there what ended within
the last moment runs again too.
"""

import logging
import os
import re
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.broker import processes, runtime
from celeriac.broker.queries import queries_for
from celeriac.broker.settlements import Batch, Settlement, Verb, write
from celeriac.database.failures import first_line, is_passing
from celeriac.database.session import Session
from celeriac.results import journal, notes, salvaging
from celeriac.results.notes import Note
from celeriac.results.pending import results_alias

logger = logging.getLogger(__name__)

_TAG = re.compile(r"(\d+)-(\d+)")
_STEM = re.compile(r"(?P<host>.+)-(?P<process>\d+)\.\d+\.\d+\.journal")


def stem_for(process: int) -> Path | None:
    """Where the journals of a worker of this host are, by its main process; None: this host has no place."""
    directory = runtime.directory(results_alias())
    return directory and directory / f"{_host()}-{process}"


def recover(broker_alias: str | None, *, is_starting: bool = False) -> None:
    """Store what workers of this host left that are gone; what the database does not take now stays.

    `broker_alias` is the database that carries messages, or None. `is_starting`: this process has noted none
    yet; what has its number is of an earlier one, as after a restart of the host.
    """
    directory = runtime.directory(results_alias())
    if directory is None:
        return
    is_gone = partial(_is_gone, None if is_starting else os.getpid())
    for stem in _abandoned(directory, is_gone):
        try:
            _recover(stem, broker_alias, is_gone)
        except (OSError, Error) as error:
            logger.warning("What a killed worker had done is not in the database yet: %s", first_line(error))


def _abandoned(directory: Path, is_gone: Callable[[int], bool]) -> list[Path]:
    """The stems of this host's workers that are gone."""
    found = set[Path]()
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return []  # There is nothing to store where nothing can be read.
    for entry in entries:
        match = _STEM.fullmatch(entry.name)
        if match and match["host"] == _host() and is_gone(int(match["process"])):
            found.add(directory / f"{_host()}-{match['process']}")
    return sorted(found)


def _recover(stem: Path, broker_alias: str | None, is_gone: Callable[[int], bool]) -> None:
    reader = journal.Reader(stem, is_gone=is_gone)
    session = Session(results_alias())
    try:
        stored = 0
        while found := reader.read():
            noted = notes.readable(found)
            _store(session, noted)
            if broker_alias is not None:
                _acknowledge(broker_alias, [note.done for note in noted if note.done])
            reader.confirm()
            stored += len(noted)
        # A process of the pool may outlive its worker by the task that it runs; the next one looks again.
        if all(map(is_gone, reader.processes())):
            reader.remove()
        if stored:
            logger.warning("A killed worker left %d notes of its tasks; they are stored now.", stored)
    finally:
        reader.close()
        session.close()


def _store(session: Session, noted: list[Note]) -> None:
    try:
        session.run(partial(notes.store, notes=noted))
    except Error as error:
        if is_passing(error):
            raise
        salvaging.store_each(session, noted)


def _acknowledge(alias: str, tags: list[str]) -> None:
    pairs = [(int(match[1]), int(match[2])) for tag in tags if (match := _TAG.fullmatch(tag))]
    batch = Batch({f"{pair[0]}-{pair[1]}": Settlement(Verb.ACK, pair) for pair in pairs})
    session = Session(alias)

    def work(connection: BaseDatabaseWrapper) -> None:
        write(connection, queries_for(connection), batch)

    try:
        if pairs:
            session.run(work)
    finally:
        session.close()


def _is_gone(living: int | None, process: int) -> bool:
    return process != living and (process == os.getpid() or processes.is_gone(process))


def _host() -> str:
    return socket.gethostname().replace("/", "_")
