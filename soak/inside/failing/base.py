"""The project's database engine, in which statements fail as the file `faults.json` says, in each process.

Its engine and the directory of the file are settings; `faults.log` beside it names each fault that there was.
So every process that has the setting has the faults, and no code of Celeriac knows of them.
"""

import json
import os
import random
import re
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.backends.utils import CursorWrapper

given: Any = settings
real: Any = import_module(given.FAULTS_OF + ".base")
CONTROL = Path(given.FAULTS_DIRECTORY) / "faults.json"
TOLD = Path(given.FAULTS_DIRECTORY) / "faults.log"
ROLE = "worker" if "start" in sys.argv else "publisher"


class Faults:
    """Which statement fails, and how."""

    def __init__(self) -> None:
        self.plan: dict[str, Any] = {}
        self.read_at: int | None = None
        self.count, self.lock = 0, threading.Lock()
        os.register_at_fork(after_in_child=self.in_child)

    def in_child(self) -> None:
        """Another lock, and other chances."""
        self.lock = threading.Lock()
        random.seed(os.getpid())

    def kind_for(self, sql: str) -> str | None:
        """How this statement is to fail; None: it is not."""
        with self.lock:
            self.renew()
            plan = self.plan.get(ROLE)
            if not plan or not re.search(plan.get("match", ""), sql):
                return None
            self.count += 1
            if random.random() >= plan.get("share", 0) and self.count != plan.get("nth"):  # noqa: S311
                return None
        kind = str(plan["kind"])
        with TOLD.open("a") as file:
            file.write(f"{ROLE} {os.getpid()} {self.count} {kind}: {sql.partition(chr(10))[0][:100]}\n")
        return kind

    def renew(self) -> None:
        """Read the plan where it is a new one, and count from there."""
        try:
            changed: int | None = CONTROL.stat().st_mtime_ns
        except FileNotFoundError:
            changed = None
        if changed != self.read_at:
            self.read_at, self.count = changed, 0
            self.plan = json.loads(CONTROL.read_text()) if changed else {}


faults = Faults()


def error(vendor: str, kind: str) -> Exception:
    """What the driver raises."""
    if vendor == "sqlite":
        import sqlite3

        text, code = {
            "busy": ("database is locked", 5),
            "lost": ("unable to open database file", 14),
            "full": ("database or disk is full", 13),
        }[kind]
        made = sqlite3.OperationalError(text)
        made.sqlite_errorcode = code
        return made
    if vendor == "mysql":
        import MySQLdb

        number, text = {
            "busy": (1213, "Deadlock found when trying to get lock"),
            "lost": (2013, "Lost connection to server during query"),
            "full": (1114, "The table is full"),
        }[kind]
        failed: Exception = MySQLdb.OperationalError(number, text)
        return failed
    import psycopg

    deadlocks = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
    kinds: dict[str, type[Exception]] = {
        "busy": random.choice(deadlocks),  # noqa: S311
        "lost": psycopg.OperationalError,
        "full": psycopg.errors.DiskFull,
    }
    return kinds[kind](kind)


def fail(db: Any, kind: str) -> Any:
    """What the server does to the transaction, then the error."""
    if db.vendor == "sqlite":
        if kind == "lost" and db.connection is not None and db.connection.in_transaction:
            db.connection.rollback()
    elif kind == "lost" and db.connection is not None:
        db.connection.close()
    elif db.connection is not None:
        try:
            # A busy MariaDB has rolled back; on PostgreSQL nothing but that may follow.
            db.connection.cursor().execute("ROLLBACK" if db.vendor == "mysql" else "SELECT 1/0")
        except Exception:  # noqa: BLE001, S110 - which is what is wanted
            pass
    with db.wrap_database_errors:
        raise error(db.vendor, kind)


def around(db: Any, sql: object, execute: Callable[[], Any]) -> Any:
    """Do it, or fail before it, or behind it and say nothing of it."""
    kind = faults.kind_for(str(sql))
    if kind is None:
        return execute()
    if kind.startswith("then "):
        execute()
        kind = kind.removeprefix("then ")
    return fail(db, kind)


class Cursor(CursorWrapper):
    """Each statement may fail."""

    def execute(self, sql: Any, params: Any = None) -> Any:
        """Once."""
        return around(self.db, sql, lambda: super(Cursor, self).execute(sql, params))

    def executemany(self, sql: Any, param_list: Any) -> Any:
        """Counts once, too."""
        return around(self.db, sql, lambda: super(Cursor, self).executemany(sql, param_list))


class DatabaseWrapper(real.DatabaseWrapper):
    """So may a commit, and a new connection."""

    def make_cursor(self, cursor: Any) -> Cursor:
        """Ours."""
        return Cursor(cursor, self)

    make_debug_cursor = make_cursor

    def _commit(self) -> Any:
        return around(self, "COMMIT", super()._commit)

    def get_new_connection(self, params: Any) -> Any:
        """Also the first one."""
        return around(self, "CONNECT", lambda: super(DatabaseWrapper, self).get_new_connection(params))
