"""Which word goes where: ours to their files, every other one to Celery."""

from collections.abc import Callable, Sequence

from celery import Celery

from celeriac.app import get_app
from celeriac.cli import discovered, django_options, engine, global_options, health, output, pausing, start
from celeriac.worker import preflight

Run = Callable[[Celery, Sequence[str]], int]

#: Each with the line that the list of commands has for it.
OURS: dict[str, tuple[Run, str]] = {
    "start": (start.run, "run the tasks, in this process, with what suits the platform"),
    "discovered": (discovered.COMMAND.run, "list each tasks.py with its tasks, or why it was left out"),
    "health": (health.COMMAND.run, "say whether the workers of this host live and go on"),
    "pause": (pausing.PAUSE.run, "let no worker take messages from a queue, or list the paused ones"),
    "resume": (pausing.RESUME.run, "let the workers take messages from a queue again"),
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
    app = get_app()
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
