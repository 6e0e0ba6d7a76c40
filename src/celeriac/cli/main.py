"""Which word goes where: ours to their files, every other one to Celery."""

from collections.abc import Callable, Sequence

from celery import Celery

from celeriac.app import app_as_it_is, get_app
from celeriac.cli import (
    call,
    discovered,
    django_options,
    doctor,
    engine,
    global_options,
    health,
    output,
    pausing,
    queues,
    retry,
    revoke,
    run,
    start,
    status,
    tasks,
    workers,
)
from celeriac.worker import preflight

Run = Callable[[Celery, Sequence[str]], int]

#: Each with the line that the list of commands has for it.
OURS: dict[str, tuple[Run, str]] = {
    "start": (start.run, "run the tasks, in this process, with what suits the platform"),
    "call": (call.COMMAND.run, "send a task, and wait for what it comes to"),
    "discovered": (discovered.COMMAND.run, "list each tasks.py with its tasks, or why it was left out"),
    "doctor": (doctor.COMMAND.run, "say what will make tasks fail, wait or vanish, and how to mend it"),
    "health": (health.COMMAND.run, "say whether the workers of this host live and go on"),
    "pause": (pausing.PAUSE.run, "let no worker take messages from a queue, or list the paused ones"),
    "queues": (queues.COMMAND.run, "list the queues with what waits in them, or purge one"),
    "resume": (pausing.RESUME.run, "let the workers take messages from a queue again"),
    "retry": (retry.COMMAND.run, "send tasks again that did not succeed, by id or query"),
    "revoke": (revoke.COMMAND.run, "let tasks not begin, by id or query"),
    "run": (run.COMMAND.run, "run a task in this process, with its traceback"),
    "status": (status.COMMAND.run, "show workers, queues and pace on one screen"),
    "tasks": (tasks.COMMAND.run, "find tasks by a query, or show one with its tracebacks"),
    "workers": (workers.COMMAND.run, "list the workers that live with what they run"),
}


def main(arguments: Sequence[str]) -> int:
    """Run a command; its exit code. Raises CeleriacError with one line that says what to do."""
    leading, rest = global_options.split(arguments)
    if not rest and arguments and not {"-h", "--help"} & set(arguments):
        return engine.run(get_app(), arguments)
    word = rest[0] if rest else "help"
    if word == "help":
        _help()
        return 0
    # The doctor is there for those whose app cannot be used.
    app = app_as_it_is() if word == "doctor" else get_app()
    if word in OURS:
        global_options.use(leading, app, word=word)
        return OURS[word][0](app, django_options.taken(rest[1:]))
    preflight.broker_alias(app)
    if word == "worker":
        start.prepare(global_options.named_app(leading) or app, rest)
    return engine.run(app, arguments)


def _help() -> None:
    output.line("manage.py celery COMMAND [options]\n\nCeleriac's own commands:")
    for name, (_, summary) in OURS.items():
        output.line(f"  {name:<12}{summary}")
    output.line("\nEvery other command is Celery's own, with this project's app:\n")
    engine.run(get_app(), ["--help"])
