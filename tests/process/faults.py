"""A project whose database fails on demand, and the account of what became of its tasks.

The project's ENGINE is its real one in which statements fail as the file `faults.json` says: so every process
of the project has the faults, and no code of Celeriac knows of them.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.process.project import Project

ENGINE = '''
    import json, os, random, re, sys, threading
    from importlib import import_module
    from django.conf import settings
    from django.db.backends.utils import CursorWrapper

    real = import_module(settings.FAULTS_OF + ".base")
    CONTROL, TOLD = settings.BASE_DIR / "faults.json", settings.BASE_DIR / "faults.log"
    ROLE = "worker" if "start" in sys.argv else "publisher"

    class Faults:
        """Which statement fails, and how."""

        def __init__(self):
            self.plan, self.read_at, self.count, self.lock = {}, None, 0, threading.Lock()
            os.register_at_fork(after_in_child=self.in_child)

        def in_child(self):
            self.lock = threading.Lock()
            random.seed(os.getpid())

        def kind_for(self, sql):
            with self.lock:
                self.renew()
                plan = self.plan.get(ROLE)
                if not plan or not re.search(plan.get("match", ""), sql):
                    return None
                self.count += 1
                if random.random() >= plan.get("share", 0) and self.count != plan.get("nth"):
                    return None
            kind = plan["kind"]
            with TOLD.open("a") as file:
                file.write(f"{ROLE} {os.getpid()} {self.count} {kind}: {sql.split(chr(10))[0][:100]}\\n")
            return kind

        def renew(self):
            try:
                changed = os.stat(CONTROL).st_mtime_ns
            except FileNotFoundError:
                changed = None
            if changed != self.read_at:
                self.read_at, self.count = changed, 0
                self.plan = json.loads(CONTROL.read_text()) if changed else {}

    faults = Faults()

    def error(vendor, kind):
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
            return MySQLdb.OperationalError(*{
                "busy": (1213, "Deadlock found when trying to get lock"),
                "lost": (2013, "Lost connection to server during query"),
                "full": (1114, "The table is full"),
            }[kind])
        import psycopg
        return {
            "busy": random.choice([psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure]),
            "lost": psycopg.OperationalError,
            "full": psycopg.errors.DiskFull,
        }[kind](kind)

    def fail(db, kind):
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
            except Exception:
                pass
        with db.wrap_database_errors:
            raise error(db.vendor, kind)

    def around(db, sql, execute):
        kind = faults.kind_for(str(sql))
        if kind is None:
            return execute()
        if kind.startswith("then "):
            execute()
            kind = kind.removeprefix("then ")
        return fail(db, kind)

    class Cursor(CursorWrapper):
        def execute(self, sql, params=None):
            return around(self.db, sql, lambda: super(Cursor, self).execute(sql, params))

        def executemany(self, sql, param_list):
            return around(self.db, sql, lambda: super(Cursor, self).executemany(sql, param_list))

    class DatabaseWrapper(real.DatabaseWrapper):
        def make_cursor(self, cursor):
            return Cursor(cursor, self)

        make_debug_cursor = make_cursor

        def _commit(self):
            return around(self, "COMMIT", super()._commit)

        def get_new_connection(self, params):
            return around(self, "CONNECT", lambda: super(DatabaseWrapper, self).get_new_connection(params))
'''

TASKS = """
    import os
    from celery import shared_task

    @shared_task
    def note(path, text):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{text}\\n".encode())
        os.close(file)
        return text

    @shared_task
    def fail(path, text):
        note(path, text)
        raise ValueError(text)
"""


def with_faults(project: Project) -> Project:
    """Let its database fail from now on as `plan` says."""
    project.write("faulty/__init__.py", "")
    project.write("faulty/base.py", ENGINE)
    project.write("tasks.py", TASKS)
    project.add_settings(
        "FAULTS_OF = DATABASES['default']['ENGINE']\nDATABASES['default']['ENGINE'] = 'faulty'"
    )
    return project


def plan(project: Project, **of_roles: dict[str, Any]) -> None:
    """What fails from now on in processes of a role, `worker` or `publisher`; nothing ends all faults."""
    unready = project.directory / "faults.new"
    unready.write_text(json.dumps(of_roles))
    unready.rename(project.directory / "faults.json")


def injected(project: Project) -> list[str]:
    """Each fault that there was, with the statement that failed."""
    file = project.directory / "faults.log"
    return file.read_text().splitlines() if file.exists() else []


@dataclass(frozen=True, slots=True)
class Account:
    """Tasks that a publisher was told of, against the lines that runs left in the ledger."""

    acknowledged: set[str]
    attempted: set[str]
    runs: Counter[str]

    @property
    def lost(self) -> set[str]:
        return self.acknowledged - self.runs.keys()

    @property
    def unexpected(self) -> set[str]:
        return self.runs.keys() - self.attempted

    @property
    def duplicates(self) -> int:
        return sum(self.runs.values()) - len(self.runs)


def account(ledger: Path, acknowledged: set[str], attempted: set[str] | None = None) -> Account:
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return Account(acknowledged, acknowledged if attempted is None else attempted, Counter(lines))
