"""A section of supervisord's configuration for each kind of worker, and a group where there are several."""

import shlex
from collections.abc import Mapping

from celeriac.errors import CeleriacError
from celeriac.services.plan import INSTANCE, File, Plan, Worker

_SECTION = """\
[program:{name}]
command={command}
directory={directory}
user={user}
environment={environment}
process_name={process}
numprocs={instances}
numprocs_start={first}
autostart=true
; Also after an exit code of 0, as of `celery control shutdown`.
autorestart=true
; Longer than its imports and the way to its broker take.
startsecs=10
; Each try waits a second longer than the last: a database may be away for more than an hour at boot.
startretries=100
; TERM to the worker alone: it takes nothing new and waits for its tasks. To the group it would end them.
stopsignal=TERM
stopasgroup=false
; Behind stopwaitsecs nothing of it is left.
killasgroup=true
; {reason}
stopwaitsecs={stop}
priority=900
redirect_stderr=true
; Rotated by supervisord.
stdout_logfile={log}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=5
"""
#: The environment file is read by a shell, which the worker then takes the place of: TERM goes to the worker.
READ_AND_RUN = 'set -a; . "$0"; set +a; exec "$@"'


def render(plan: Plan) -> list[File]:
    """One file for [include]. Raises CeleriacError for what this format cannot say."""
    head = [
        f"; The tasks of {plan.project}, by manage.py celery service supervisord.",
        "; Where [include] of supervisord.conf finds it; then: supervisorctl update",
        *(f"; {remark}" for remark in plan.remarks),
    ]
    parts = ["\n".join(head) + "\n", *(_section(plan, worker) for worker in plan.workers)]
    if len(plan.workers) > 1:
        parts.append(f"[group:{plan.name}]\nprograms={','.join(worker.name for worker in plan.workers)}\n")
    return [File(f"{plan.name}.conf", "\n".join(parts))]


def _section(plan: Plan, worker: Worker) -> str:
    is_one = worker.instances == 1
    log = (plan.logs or "/var/log", f"{worker.name}.log" if is_one else f"{worker.name}-{INSTANCE}.log")
    return _SECTION.format(
        name=worker.name,
        command=_numbered(" ".join(_quoted(word) for word in _words(plan, worker))),
        directory=_plain(str(plan.directory)),
        user=_plain(plan.user),
        environment=_environment(_all_variables(plan)),
        process="%(program_name)s" if is_one else "%(program_name)s-%(process_num)d",
        instances=worker.instances,
        first=0 if is_one else 1,
        reason=plan.stop.reason,
        stop=plan.stop.seconds,
        log=_numbered(_plain(f"{log[0]}/{log[1]}")),
    )


def _words(plan: Plan, worker: Worker) -> list[str]:
    words = plan.words(worker)
    if plan.env_file is None:
        return words
    return ["/bin/sh", "-c", READ_AND_RUN, str(plan.env_file), *words]


def _all_variables(plan: Plan) -> dict[str, str]:
    """supervisord changes the user and leaves the variables that say who that is."""
    of_user = {"USER": plan.user, **({"HOME": str(plan.home)} if plan.home else {})}
    return {**of_user, **plan.environment}


def _numbered(text: str) -> str:
    return text.replace(INSTANCE, "%(process_num)d")


def _quoted(word: str) -> str:
    """As its shell-like splitting reads it; behind a space, ';' and '#' begin a comment even in quotes."""
    quoted = shlex.quote(word.replace("%", "%%"))
    if _begins_comment(quoted):
        return "".join(f"\\{sign}" if sign in " ;#\\'\"" else sign for sign in word.replace("%", "%%"))
    return quoted


def _plain(value: str) -> str:
    """A value without quotes, to the end of its line."""
    if _begins_comment(value):
        raise CeleriacError(f"supervisord would read a comment in {value!r}. Give it another name.")
    return value.replace("%", "%%")


def _begins_comment(text: str) -> bool:
    return any(f"{space}{sign}" in text for space in " \t" for sign in ";#")


def _environment(variables: Mapping[str, str]) -> str:
    return ",".join(f"{name}={_in_quotes(name, value)}" for name, value in variables.items())


def _in_quotes(name: str, value: str) -> str:
    """It knows no escapes, and takes quotes off both ends."""
    mark = "'" if '"' in value else '"'
    if mark in value or value.strip("'\"") != value or _begins_comment(value):
        raise CeleriacError(f"supervisord cannot be given {name} as it is. Put it into --env-file FILE.")
    return f"{mark}{value.replace('%', '%%')}{mark}"
