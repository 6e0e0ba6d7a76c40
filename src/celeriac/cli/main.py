"""Which word goes where: ours to their files, every other one to Celery."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module

from celery import Celery

from celeriac.app import app_as_it_is, get_app
from celeriac.cli import django_options, global_options, output
from celeriac.errors import CeleriacError
from celeriac.worker import preflight

#: Where each command is, imported when it is asked for, and the line that the list has for it.
OURS: dict[str, tuple[str, str]] = {
    "start": ("start", "run the tasks, in this process, with what suits the platform"),
    "call": ("call:COMMAND", "send a task, and wait for what it comes to"),
    "clean": ("clean:COMMAND", "delete what is old enough, as workers do each hour"),
    "dead": ("dead:COMMAND", "list the dead letters, send them again or delete them"),
    "discovered": ("discovered:COMMAND", "list each tasks.py with its tasks, or why it was left out"),
    "doctor": ("doctor:COMMAND", "say what will make tasks fail, wait or vanish, and how to mend it"),
    "health": ("health:COMMAND", "say whether the workers of this host live and go on"),
    "import-beat": ("importing_beat:COMMAND", "take over the tables of django-celery-beat"),
    "pause": ("pausing:PAUSE", "let no worker take messages from a queue, or list the paused ones"),
    "queues": ("queues:COMMAND", "list the queues with what waits in them; purge or move it"),
    "resume": ("pausing:RESUME", "let the workers take messages from a queue again"),
    "retry": ("retry:COMMAND", "send tasks again that did not succeed, by id or query"),
    "revoke": ("revoke:COMMAND", "let tasks not begin, by id or query"),
    "run": ("run:COMMAND", "run a task in this process, with its traceback"),
    "schedule": ("scheduling:COMMAND", "list what is due when; run, pause, resume or skip an entry"),
    "service": ("service:COMMAND", "files for supervisord, systemd, docker compose and others"),
    "status": ("status:COMMAND", "show workers, queues and pace on one screen"),
    "tasks": ("tasks:COMMAND", "find tasks by a query, or show one with its tracebacks"),
    "workers": ("workers:COMMAND", "list the workers that live with what they run"),
}
#: These say themselves what is wrong with the broker, or do not ask for it.
_WITHOUT_BROKER = frozenset({"start", "discovered", "doctor", "health", "service"})


def main(arguments: Sequence[str]) -> int:
    """Run a command; its exit code. Raises CeleriacError with one line that says what to do."""
    leading, rest = global_options.split(arguments)
    if not rest and arguments and not {"-h", "--help"} & set(arguments):
        return _celerys(get_app(), arguments)
    word = rest[0] if rest else "help"
    if word == "help":
        _help()
        return 0
    # The doctor is there for those whose app cannot be used.
    app = app_as_it_is() if word == "doctor" else get_app()
    if word in OURS:
        if word not in _WITHOUT_BROKER:
            preflight.broker_alias(app)
            preflight.check_backend(app)
        global_options.use(leading, app, word=word)
        return _run(word)(app, django_options.taken(rest[1:]))
    _refuse_slip(word)
    preflight.broker_alias(app)
    if word == "worker":
        from celeriac.cli import start

        start.prepare(global_options.named_app(leading) or app, rest)
    return _celerys(app, arguments)


def _celerys(app: Celery, arguments: Sequence[str]) -> int:
    # Imported late, as it takes long.
    from celeriac.cli import engine

    return engine.run(app, arguments)


def _refuse_slip(word: str) -> None:
    """Celery would name the nearest of its own commands alone."""
    from celeriac.cli import engine

    others = engine.commands()
    near = get_close_matches(word, [*OURS, *others], n=1)
    if word not in others and near and near[0] in OURS:
        raise CeleriacError(f"There is no command {word!r}. Did you mean {near[0]}?")


def _run(word: str) -> Callable[[Celery, Sequence[str]], int]:
    module, _, name = OURS[word][0].partition(":")
    found = import_module(f"celeriac.cli.{module}")
    run: Callable[[Celery, Sequence[str]], int] = (getattr(found, name) if name else found).run
    return run


def _help() -> None:
    output.line("manage.py celery COMMAND [options]\n\nCeleriac's own commands:")
    for name, (_, summary) in OURS.items():
        output.line(f"  {name:<12}{summary}")
    output.line("\nEvery other command is Celery's own, with this project's app:\n")
    _celerys(get_app(), ["--help"])
