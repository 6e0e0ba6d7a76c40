"""Celery's own tools over django://: inspect, events, Flower, and revoke, without a worker too (F29)."""

import json
import re
import signal
import socket
import urllib.request
from pathlib import Path

from tests.process.project import Project, wait_until


def test_inspect_answers(database_project: Project, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with database_project.worker("-c", "1", "-n", "one@%h"):
        ping = database_project.manage("celery", "inspect", "ping", "--json")
        database_project.python(f"from tasks import note; result = note.delay({str(notes)!r}, 'long', 20).id")
        wait_until(notes.exists, "the task begins")
        active = database_project.manage("celery", "inspect", "active", "--json")
        status = database_project.manage("celery", "status")

    assert list(json.loads(ping.stdout).values()) == [{"ok": "pong"}]
    (tasks,) = json.loads(active.stdout).values()
    assert [task["name"] for task in tasks] == ["tasks.note"]
    assert "1 node online" in status.stdout


def test_inspect_inside_of_a_transaction_is_answered_or_says_why_not(database_project: Project) -> None:
    asking = """
        from django.db import connection, transaction
        from celeriac.app import get_app
        from celeriac.errors import HeldByTransaction
        from celeriac.models import Message
        connection.ensure_connection()
        connection.transaction_mode = {mode!r}
        with transaction.atomic():
            Message.objects.count()
            try:
                result = list(get_app().control.inspect(timeout=30, limit=1).ping().values())
            except HeldByTransaction as error:
                result = str(error)
    """
    with database_project.worker("-c", "1") as worker:
        first = database_project.python(asking.format(mode=None))
        second = database_project.python(asking.format(mode="IMMEDIATE"))

    assert first == [{"ok": "pong"}], worker.output
    if "sqlite" in database_project.python("from django.db import connection; result = connection.vendor"):
        assert second.startswith("Remote control cannot be asked inside of this transaction")
    else:
        assert second == [{"ok": "pong"}], worker.output


def test_two_workers_both_answer(database_project: Project) -> None:
    with (
        database_project.worker("-c", "1", "-n", "one@%h"),
        database_project.worker("-c", "1", "-n", "two@%h"),
    ):
        ping = database_project.manage("celery", "inspect", "ping", "--json")

    assert sorted(name.partition("@")[0] for name in json.loads(ping.stdout)) == ["one", "two"]


def test_revoke_terminates_the_running_task(database_project: Project, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with database_project.worker("-c", "1") as worker:
        task = database_project.python(
            f"from tasks import note; result = note.delay({str(notes)!r}, 'long', 60).id"
        )
        wait_until(notes.exists, "the task begins")

        database_project.manage("celery", "control", "revoke", task, check=False)
        database_project.python(
            f"""
            from celeriac.app import get_app
            get_app().control.revoke({task!r}, terminate=True, signal="SIGKILL")
            result = None
            """
        )

        wait_until(lambda: database_project.statuses() == {"REVOKED": 1}, "the task is revoked")
        after = database_project.python("from tasks import add; result = add.delay(1, 1).get(timeout=30)")
        assert after == 2, worker.output
        assert notes.read_text() == "begin long\n"


def test_what_is_revoked_while_no_worker_is_up_never_runs(project: Project, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    project.python(
        f"""
        from tasks import note
        soon = note.delay({str(notes)!r}, "soon")
        later = note.apply_async(({str(notes)!r}, "later"), countdown=8)
        note.delay({str(notes)!r}, "other")
        soon.revoke()
        later.revoke()
        result = None
        """
    )

    for _ in range(2):
        with project.worker("-c", "1") as worker:
            assert project.python("from tasks import add; result = add.delay(1, 1).get(timeout=60)") == 2
            assert worker.stop() == 0, worker.output
    with project.worker("-c", "1") as worker:
        wait_until(lambda: project.statuses().get("REVOKED") == 2, "both are revoked")

    assert notes.read_text() == "begin other\nother\n", worker.output


def test_events_are_dumped(database_project: Project) -> None:
    dump = database_project.popen("celery", "events", "--dump")
    try:
        with database_project.worker("-c", "1", "-E"):
            dump.wait_for_line(r"celery@\S+ .* (started|heartbeat):")
            database_project.python("from tasks import add; result = add.delay(1, 1).get(timeout=30)")
            dump.wait_for_line("succeeded")
    finally:
        dump.signal(signal.SIGINT)
        dump.kill_group()


def test_flower_sees_worker_and_task(database_project: Project) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flower = database_project.popen(
        "celery", "flower", "--address=127.0.0.1", f"--port={port}", FLOWER_UNAUTHENTICATED_API="true"
    )
    try:
        with database_project.worker("-c", "1", "-E") as worker:
            flower.wait_for_line("Visit me at")

            def shown() -> object:
                return _json(port, "/api/workers?refresh=true")

            wait_until(shown, "Flower lists the worker")
            database_project.python("from tasks import add; result = add.delay(1, 1).get(timeout=30)")
            tasks = wait_until(lambda: _json(port, "/api/tasks"), "Flower lists the task")
            assert [task["name"] for task in tasks.values()] == ["tasks.add"], worker.output
    finally:
        flower.kill_group()


def test_purge_and_queue_delete(database_project: Project) -> None:
    database_project.python("from tasks import add; result = [add.delay(1, n).id for n in range(5)]")

    purged = database_project.manage("celery", "purge", "-f")
    left = database_project.python("from celeriac.models import Message; result = Message.objects.count()")

    assert re.search(r"Purged 5 messages", purged.stdout)
    assert left == 0


def _json(port: int, path: str) -> dict:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return json.loads(answer.read())
    except OSError:
        return {}
