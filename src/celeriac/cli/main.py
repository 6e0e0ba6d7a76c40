"""Which word goes where: ours to their files, every other one to Celery."""

from collections.abc import Callable, Sequence

from celery import Celery

from celeriac.app import get_app
from celeriac.cli import discovered, engine, output, start
from celeriac.worker import preflight

Command = Callable[[Celery, Sequence[str]], int]

OURS: dict[str, tuple[Command, str]] = {
    "start": (start.run, "run the tasks, in this process, with what suits the platform"),
    "discovered": (discovered.run, "list each tasks.py with its tasks, or why it was left out"),
}


def main(arguments: Sequence[str]) -> int:
    """Run a command; its exit code. Raises CeleriacError with one line that says what to do."""
    words = [word for word in arguments if not word.startswith("-")]
    if not words:
        if arguments and not {"-h", "--help"} & set(arguments):
            return engine.run(get_app(), arguments)
        words = ["help"]
    if words[0] == "help":
        _help()
        return 0
    app = get_app()
    if arguments[0] in OURS:
        return OURS[arguments[0]][0](app, arguments[1:])
    preflight.broker_alias(app)
    if arguments[0] == "worker":
        start.prepare(app, arguments)
    return engine.run(app, arguments)


def _help() -> None:
    output.line("manage.py celery COMMAND [options]\n\nCeleriac's own commands:")
    for name, (_, summary) in OURS.items():
        output.line(f"  {name:<12}{summary}")
    output.line("\nEvery other command is Celery's own, with this project's app:\n")
    engine.run(get_app(), ["--help"])
