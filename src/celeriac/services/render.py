"""Which formats there are, and what none of them can say."""

from collections.abc import Callable

from celeriac.errors import CeleriacError
from celeriac.services import docker, launchd, procfile, supervisord, systemd
from celeriac.services.plan import File, Plan

FORMATS: dict[str, Callable[[Plan], list[File]]] = {
    "supervisord": supervisord.render,
    "systemd": systemd.render,
    "procfile": procfile.render,
    "docker": docker.render,
    "launchd": launchd.render,
}


def render(plan: Plan, form: str) -> list[File]:
    """The files of this format. Raises CeleriacError for what it cannot say."""
    texts = [
        *(word for worker in plan.workers for word in plan.words(worker, "1")),
        *(str(path) for path in (plan.directory, plan.env_file, plan.logs) if path),
        plan.user,
        # It has the name of a task, and is a comment.
        plan.stop.reason,
    ]
    for name, value in plan.environment.items():
        # The value may be a secret.
        if not value.isprintable():
            raise CeleriacError(
                f"{name} has a sign that no line of a {form} file can have. Put it into --env-file FILE."
            )
    for text in texts:
        if not text.isprintable():
            raise CeleriacError(f"{text!r} has a sign that no line of a {form} file can have.")
    return FORMATS[form](plan)
