"""Fault F31 on SQLite: a process of the pool inherits nothing of the file: its locks are its own."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from django.db import connections

from celeriac.broker.session import BrokerSession
from celeriac.database import forks
from celeriac.database.session import Session
from celeriac.results.writer import Writer
from tests.process.project import Project, wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

FORKED = """
    import os
    from celeriac.database.session import Session
    from django.db import connection

    def write(session, name):
        session.run(lambda opened: opened.cursor().execute(
            "insert into auth_group (name) values (%s)", [name]))

    session = Session("default")
    session.run(lambda opened: opened.cursor().execute("pragma journal_mode=wal"), atomic=False)
    write(session, "parent")
    written, finish = os.pipe(), os.pipe()
    if not os.fork():
        write(session, "child")
        os.write(written[1], b"1")
        os.read(finish[0], 1)
        write(session, "later")
        os.write(written[1], b"2")
        os._exit(0)
    os.read(written[0], 1)
    # The last one to close removes the write-ahead log; the child has it open.
    session.close()
    os.write(finish[1], b"1")
    os.read(written[0], 1)
    with connection.cursor() as cursor:
        cursor.execute("select name from auth_group order by id")
        result = [name for name, in cursor.fetchall()]
"""


def files_of(process: int | str, database: Path) -> dict[int, str]:
    """The open files of a process that belong to the database, by their numbers."""
    targets = {}
    for entry in Path(f"/proc/{process}/fd").iterdir():
        try:
            targets[int(entry.name)] = str(entry.readlink())
        except FileNotFoundError:
            pass  # That of this very listing.
    return {
        number: target
        for number, target in targets.items()
        if target.startswith(str(database)) and "-celeriac" not in target
    }


def in_child(work) -> str:
    """What `work` returns or raises in a forked child."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            answer = repr(work())
        except BaseException as error:  # noqa: BLE001 - told to the test
            answer = repr(error)
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    return answer


def test_a_child_inherits_no_open_file_of_a_session(default_alias: str) -> None:
    session = Session(default_alias)
    session.run(lambda connection: connection.cursor().execute("select 1"))
    file = Path(connections[default_alias].settings_dict["NAME"])
    assert files_of("self", file)
    connections[default_alias].close()

    inherited = in_child(lambda: files_of("self", file))

    assert inherited == "{}"
    session.close()


def test_a_child_that_closes_every_inherited_file_can_write(default_alias: str) -> None:
    file = Path(connections[default_alias].settings_dict["NAME"])
    connections[default_alias].close()
    session = BrokerSession(default_alias)
    session.run(lambda connection, _: connection.cursor().execute("pragma journal_mode=wal"), atomic=False)

    session.run(lambda connection, _: _names(connection))

    def write():
        for number in files_of("self", file):
            os.close(number)
        return session.run(
            lambda connection, _: connection.cursor().execute("delete from celeriac_queue") and 1
        )

    assert in_child(write) == "1"
    session.close()


def test_a_fork_waits_for_the_work_of_another_thread(default_alias: str) -> None:
    connections[default_alias].close()
    session = Session(default_alias)
    entered, leave = threading.Event(), threading.Event()

    def work(connection):
        connection.cursor().execute("insert into celeriac_queue (name) values ('before')")
        entered.set()
        leave.wait(30)

    thread = threading.Thread(target=session.run, args=(work,))
    thread.start()
    assert entered.wait(30)
    threading.Timer(0.2, leave.set).start()
    seen = in_child(lambda: session.run(_names))
    thread.join()

    assert seen == "['before']"
    session.close()


def _names(connection) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("select name from celeriac_queue")
        return [name for (name,) in cursor.fetchall()]


def test_the_writer_of_results_leaves_no_open_file_to_a_child(default_alias: str) -> None:
    file = Path(connections[default_alias].settings_dict["NAME"])
    writer = Writer()
    writer.start()
    writer.submit(lambda: connections[default_alias].cursor().execute("select 1"))
    assert writer.flush(30)
    connections[default_alias].close()

    inherited = in_child(lambda: files_of("self", file))

    assert inherited == "{}"
    writer.stop()


def test_a_fork_in_the_middle_of_work_goes_on(default_alias: str) -> None:
    with forks.working():
        assert in_child(lambda: "here") == "'here'"


def test_what_a_child_commits_after_its_parent_has_closed_stays(sqlite_project: Project) -> None:
    assert sqlite_project.python(FORKED) == ["parent", "child", "later"]


def test_a_replaced_process_of_the_pool_inherits_no_open_file(sqlite_project: Project) -> None:
    database = sqlite_project.directory / "db.sqlite3"
    with sqlite_project.worker("-c", "1") as worker:
        first = sqlite_project.python("from tasks import note; result = note.delay('x', 'y').get(timeout=30)")
        os.kill(first, signal.SIGKILL)
        second = wait_until(
            lambda: _children(worker.process.pid) - {first}, "the process of the pool is replaced"
        ).pop()
        wait_until(lambda: files_of(worker.process.pid, database), "the worker has the file open again")

        assert files_of(second, database) == {}


def test_the_schedule_of_a_worker_is_kept(sqlite_project: Project) -> None:
    sqlite_project.add_settings(
        'CELERY_BEAT_SCHEDULE = {"add": {"task": "tasks.add", "schedule": 0.5, "args": (2, 2)}}'
    )
    with sqlite_project.worker("-c", "1", "--beat"):
        wait_until(lambda: sqlite_project.statuses().get("SUCCESS", 0) >= 2, "two scheduled tasks end")


def _children(process: int) -> set[int]:
    return {int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()}
