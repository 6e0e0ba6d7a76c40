"""A unit of systemd for each kind of worker: a template where it has instances, a target for several."""

from celeriac.services.plan import INSTANCE, File, Plan, Worker

_UNIT = """\
# The tasks of {project}, by manage.py celery service systemd.
# Into /etc/systemd/system; then: systemctl daemon-reload && systemctl enable --now {enabled}
{remarks}[Unit]
Description={description}
Wants=network-online.target
After={after}
# The database may take its time to boot, and this is tried until it has.
StartLimitIntervalSec=0
{part_of}
[Service]
# The worker says when it is ready, that it is alive, and that it is about to end.
Type=notify
NotifyAccess=main
TimeoutStartSec=300
WatchdogSec=60
User={user}
WorkingDirectory={directory}
{environment}
ExecStart={command}
# TERM to the worker alone: it takes nothing new and waits for its tasks. To the group it would end them.
KillMode=mixed
KillSignal=SIGTERM
# {reason}
TimeoutStopSec={stop}
Restart=always
RestartSec=5
# One process of the pool that takes too much memory does not stop the others.
OOMPolicy=continue
LimitNOFILE=65536
NoNewPrivileges=yes
{protect}# Workers and web processes meet in /tmp, and leave there what a killed one had finished.
PrivateTmp=no

[Install]
WantedBy={wanted_by}
"""
_TARGET = """\
# All workers of {project}: systemctl enable --now {name}.target
[Unit]
Description=All workers of {project}
Wants={units}

[Install]
WantedBy=multi-user.target
"""


def render(plan: Plan) -> list[File]:
    """The units, and the target that starts and stops several."""
    files = [File(_file_name(worker), _unit(plan, worker)) for worker in plan.workers]
    if has_target(plan):
        units = " ".join(unit for worker in plan.workers for unit in _units(worker))
        project = _escaped(plan.project)
        files.append(
            File(f"{plan.name}.target", _TARGET.format(project=project, name=plan.name, units=units))
        )
    return files


def has_target(plan: Plan) -> bool:
    """Whether there is more than one worker."""
    return len(plan.workers) > 1 or plan.workers[0].instances > 1


def _file_name(worker: Worker) -> str:
    return f"{worker.name}.service" if worker.instances == 1 else f"{worker.name}@.service"


def _units(worker: Worker) -> list[str]:
    if worker.instances == 1:
        return [_file_name(worker)]
    return [f"{worker.name}@{number}.service" for number in range(1, worker.instances + 1)]


def _unit(plan: Plan, worker: Worker) -> str:
    whole = f"{plan.name}.target" if has_target(plan) else None
    what = f"{plan.project}: Celery worker" + (f" of {worker.queues}" if worker.queues else "")
    return _UNIT.format(
        project=plan.project,
        enabled=whole or _file_name(worker),
        remarks="".join(f"# {remark}\n" for remark in plan.remarks),
        description=_escaped(what) + ("" if worker.instances == 1 else " (%i)"),
        after=" ".join(["network-online.target", *plan.after]),
        part_of=f"PartOf={whole}\n" if whole else "",
        user=_escaped(plan.user),
        directory=_escaped(str(plan.directory)),
        environment="\n".join(_environment(plan)),
        command=" ".join(_quoted(word) for word in plan.words(worker)).replace(INSTANCE, "%i"),
        reason=plan.stop.reason,
        protect="" if plan.directory.is_relative_to("/usr") else "ProtectSystem=full\n",
        stop=plan.stop.seconds,
        wanted_by=whole or "multi-user.target",
    )


def _environment(plan: Plan) -> list[str]:
    lines = [f'Environment="{name}={_inside(value)}"' for name, value in plan.environment.items()]
    if plan.env_file is None:
        lines.append("# NAME=value lines, for what nobody else may read; it may be missing.")
        lines.append(f"EnvironmentFile=-/etc/{plan.name}.env")
    else:
        lines.append(f"EnvironmentFile={_escaped(str(plan.env_file))}")
    return lines


def _quoted(word: str) -> str:
    """A word of ExecStart, where $ begins a variable."""
    inside = _inside(word).replace("$", "$$")
    is_plain = inside == word.replace("%", "%%") and not set(word) & set(" \t;'")
    return inside if is_plain else f'"{inside}"'


def _inside(value: str) -> str:
    """Between double quotes."""
    return _escaped(value).replace("\\", "\\\\").replace('"', '\\"')


def _escaped(value: str) -> str:
    """As a specifier would not be."""
    return value.replace("%", "%%")
