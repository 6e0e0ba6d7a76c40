"""Lines of a Procfile: for honcho, foreman and overmind in development, and for platforms that read it."""

import re
import shlex

from celeriac.services.plan import File, Plan

_HEAD = """\
# The tasks of {project}, by manage.py celery service procfile. A `web:` line goes beside these.
# honcho and foreman stop with TERM to the whole group, and kill after some seconds: tasks that run are
# ended, and run again later. On a server use supervisord or systemd, which wait for them.
"""


def render(plan: Plan) -> list[File]:
    """A line for each worker, as no program that reads it numbers them all alike."""
    lines = []
    for worker in plan.workers:
        for number, name in enumerate(worker.names, 1):
            words = [f"{key}={value}" for key, value in plan.portable_environment.items()]
            # Without exec a signal would meet the shell.
            command = ["exec", "env", *words, *plan.portable_words(worker, str(number))]
            lines.append(f"{_name(name)}: {_shell(command, plan)}")
    return [File("Procfile", _HEAD.format(project=plan.project) + "\n".join(lines) + "\n")]


def _name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)


def _shell(command: list[str], plan: Plan) -> str:
    text = shlex.join(command)
    return text if plan.env_file is None else f"set -a; . {shlex.quote(str(plan.env_file))}; set +a; {text}"
