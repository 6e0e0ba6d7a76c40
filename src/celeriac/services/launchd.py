"""A property list of launchd for each worker: macOS."""

import plistlib
import re
from pathlib import Path

from celeriac.services.plan import File, Plan, Worker
from celeriac.services.supervisord import READ_AND_RUN

_HEAD = """\
The tasks of {project}, by manage.py celery service launchd.
     Into /Library/LaunchDaemons, of root and not writable for others; then:
     launchctl bootstrap system /Library/LaunchDaemons/{file}
     {reason}"""


def render(plan: Plan) -> list[File]:
    """launchd has no instances: a file for each."""
    return [
        _file(plan, worker, name=name, instance=str(number))
        for worker in plan.workers
        for number, name in enumerate(worker.names, 1)
    ]


def _file(plan: Plan, worker: Worker, *, name: str, instance: str) -> File:
    label = f"celeriac.{name}"
    words = plan.words(worker, instance)
    if plan.env_file is not None:
        words = ["/bin/sh", "-c", READ_AND_RUN, str(plan.env_file), *words]
    log = str((plan.logs or _logs_of(plan)) / f"{name}.log")
    keys = {
        "Label": label,
        "ProgramArguments": words,
        "WorkingDirectory": str(plan.directory),
        "UserName": plan.user,
        "EnvironmentVariables": dict(plan.environment),
        "RunAtLoad": True,
        "KeepAlive": True,
        "ThrottleInterval": 10,
        # TERM goes to the worker, KILL behind this many seconds; launchd's own 20 would end tasks.
        "ExitTimeOut": plan.stop.seconds,
        # Behind the worker nothing of it is left.
        "AbandonProcessGroup": False,
        "ProcessType": "Standard",
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }
    text = plistlib.dumps(keys, sort_keys=False).decode()
    declaration, _, rest = text.partition("\n")
    head = _HEAD.format(project=plan.project, file=f"{label}.plist", reason=plan.stop.reason)
    return File(f"{label}.plist", f"{declaration}\n<!-- {_in_comment(head)} -->\n{rest}")


def _in_comment(text: str) -> str:
    """XML has no comment with two dashes in it."""
    return re.sub("-(?=-)", "- ", text)


def _logs_of(plan: Plan) -> Path:
    """Where the user may write."""
    return (plan.home or Path("/Users") / plan.user) / "Library" / "Logs"
