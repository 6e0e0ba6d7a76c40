"""Show the gazetteer at work: `make demo` with its page, `make demo ARGS=--once` without a browser.

Migrates, starts the worker (and the web server) as processes of its own, and stops them with itself.
"""

import argparse
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PORTS = range(8000, 8100)
READY_SECONDS = 60
#: Every process of the pool holds the data set once.
CONCURRENCY = str(min(4, os.cpu_count() or 1))
#: With --once the scheduled clean-up comes early enough to be seen.
CLEANUP_SECONDS_ONCE = "2"

os.environ["DJANGO_SETTINGS_MODULE"] = "gazetteer.settings"
os.chdir(HERE)

from demo_processes import Child, DemoError  # noqa: E402 - finds its own directory


def main() -> int:
    """Run the demo; 0 when it ended as it should."""
    parser = argparse.ArgumentParser(prog="demo.py", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--once", action="store_true", help="import without a browser, print what was done, and end"
    )
    once = parser.parse_args().once
    stop = Stop()
    try:
        _migrate()
        if once:
            return _run_once(stop)
        return _serve(stop)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr, flush=True)
        return 1


class Stop:
    """Counts the requests to stop: Ctrl-C, and what a supervisor or a closed terminal sends."""

    def __init__(self) -> None:
        self.count = 0
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._request)

    def _request(self, *_: Any) -> None:
        self.count += 1


def _migrate() -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    print(f"database  {os.path.relpath(settings.DATABASES['default']['NAME'], HERE.parent)}", flush=True)
    call_command("migrate", verbosity=0, interactive=False)


def _serve(stop: Stop) -> int:
    port = _free_port()
    worker = Child(
        "worker", ["celery", "start", "--beat", "--hostname", "demo@%h", "--concurrency", CONCURRENCY]
    )
    server = Child("web", ["runserver", "--noreload", f"127.0.0.1:{port}"], only_errors=True)
    children = [worker, server]
    try:
        _wait_until(lambda: worker.said(" ready.") and _answers(port), children, stop)
        if not stop.count:
            print(f"\n  Open http://127.0.0.1:{port}/ and press Import. Ctrl-C ends both.\n", flush=True)
        while not stop.count:
            for child in children:
                child.check()
            time.sleep(0.1)
    finally:
        _end(children, stop)
    return 0


def _run_once(stop: Stop) -> int:
    from demo_once import run

    os.environ["GAZETTEER_CLEANUP_SECONDS"] = CLEANUP_SECONDS_ONCE
    arguments = ["celery", "start", "--beat", "--hostname", "once@%h", "--concurrency", CONCURRENCY]
    worker = Child("worker", arguments, is_quiet=True)
    try:
        _wait_until(lambda: worker.said(" ready."), [worker], stop)
        print(f"worker    ready, {CONCURRENCY} processes", flush=True)
        run(worker, lambda: stop.count > 0)
    finally:
        _end([worker], stop)
    return 0


def _wait_until(is_ready: Any, children: list[Child], stop: Stop) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready() and not stop.count:
        for child in children:
            child.check()
        if time.monotonic() > deadline:
            raise DemoError(f"not ready after {READY_SECONDS} s:\n{children[0].last_lines()}")
        time.sleep(0.05)


def _end(children: list[Child], stop: Stop) -> None:
    """Let the worker finish what it runs; a further Ctrl-C ends everything now."""
    asked = stop.count
    if any(child.is_running for child in children) and asked:
        print("Stopping: the running tasks are finished first. Ctrl-C again: stop now.", flush=True)
    for child in children:
        child.stop()
    for child in children:
        if not child.wait(lambda: stop.count > asked):
            reason = "as you asked" if stop.count > asked else "for it did not end in time"
            print(f"The {child.name} was stopped at once, {reason}.", flush=True)


def _free_port() -> int:
    for port in PORTS:
        with socket.socket() as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DemoError(f"no free port between {PORTS[0]} and {PORTS[-1]}")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(main())
