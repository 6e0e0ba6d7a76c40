"""A file for `docker compose`, and a Dockerfile where the project has none."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace

from celeriac.services.plan import File, Plan, Worker

_HEAD = """\
# The tasks of {project}, by manage.py celery service docker. Alone, or beside the file with your web service:
#   docker compose -f compose.yaml -f {name} up
{remarks}services:
"""
_SERVICE = """\
  {name}:
    build: {build}
    # Words, not a line for a shell: the signal to stop meets the worker.
    command: {command}
    environment: {environment}
{env_file}    # A first process that reaps what tasks leave behind, and hands TERM to the worker alone.
    init: true
    stop_signal: SIGTERM
    # {reason}
    stop_grace_period: {stop}s
    restart: unless-stopped
{scale}"""
_DOCKERFILE = """\
# The image of {project}, by manage.py celery service docker; for its web process too.
FROM python:{version}-slim
ENV PYTHONUNBUFFERED=1
RUN useradd --create-home tasks
WORKDIR /srv/{project}
COPY . .
{libraries}RUN pip install --no-cache-dir {requirements}
USER tasks
STOPSIGNAL SIGTERM
CMD {command}
"""
#: mysqlclient is compiled.
_LIBRARIES = """\
RUN apt-get update && apt-get install -y --no-install-recommends build-essential libmariadb-dev pkg-config
"""


def render(plan: Plan) -> list[File]:
    """For `docker compose -f`, so that it stands beside what the project has."""
    name = f"compose.{plan.name}.yaml"
    remarks = "# A database of this project is a file: give all its containers the same volume.\n"
    head = _HEAD.format(project=plan.project, name=name, remarks=remarks if plan.has_file else "")
    files = [File(name, head + "".join(_service(plan, worker) for worker in plan.workers))]
    if not (plan.directory / "Dockerfile").exists():
        files.append(File("Dockerfile", _dockerfile(plan)))
    return files


def _service(plan: Plan, worker: Worker) -> str:
    return _SERVICE.format(
        name=worker.name,
        build=_text(str(plan.directory)),
        command=_words(plan.portable_words(_alone(worker))),
        environment=_mapping(plan.portable_environment),
        env_file=f"    env_file: [{_text(str(plan.env_file))}]\n" if plan.env_file else "",
        reason=plan.stop.reason,
        stop=plan.stop.seconds,
        scale="" if worker.instances == 1 else f"    scale: {worker.instances}\n",
    )


def _alone(worker: Worker) -> Worker:
    """A container has a host name of its own, and so its worker a node name."""
    return replace(worker, instances=1)


def _dockerfile(plan: Plan) -> str:
    return _DOCKERFILE.format(
        project=plan.project,
        version=f"{sys.version_info.major}.{sys.version_info.minor}",
        libraries=_LIBRARIES if "mysql" in plan.extras else "",
        requirements=_requirements(plan),
        command=json.dumps(plan.portable_words(_alone(plan.workers[0]))),
    )


def _requirements(plan: Plan) -> str:
    if (plan.directory / "requirements.txt").exists():
        return "-r requirements.txt"
    if (plan.directory / "pyproject.toml").exists():
        return "."
    return f"'celeriac[{','.join(plan.extras)}]'" if plan.extras else "celeriac"


def _words(words: Sequence[str]) -> str:
    return "[" + ", ".join(_text(word) for word in words) + "]"


def _mapping(values: dict[str, str]) -> str:
    return "{" + ", ".join(f"{name}: {_text(value)}" for name, value in values.items()) + "}"


def _text(value: str) -> str:
    """JSON is YAML; a $ would begin a variable of Compose's."""
    return json.dumps(value.replace("$", "$$"), ensure_ascii=False)
