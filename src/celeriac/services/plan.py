"""What is known of the project and of the workers that are wanted, and the command line that starts one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from celeriac.services.stop_time import StopTime

#: Stands in a command for the number of the instance, until a format writes its own word for that.
INSTANCE = "\0"
#: Of one machine: no other one has these directories.
_OF_THIS_MACHINE = frozenset({"PYTHONPATH", "PATH", "HOME", "USER"})


@dataclass(frozen=True, slots=True)
class Worker:
    """One kind of worker: a file or a section each, run `instances` times."""

    #: Of the program, and before the @ of its node.
    name: str
    #: As -Q has them; empty: those of the settings.
    queues: str = ""
    concurrency: int | None = None
    instances: int = 1

    @property
    def names(self) -> list[str]:
        """Of each of its nodes."""
        if self.instances == 1:
            return [self.name]
        return [f"{self.name}-{number}" for number in range(1, self.instances + 1)]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a file says, before it is put into the words of its format."""

    #: Of the file, of the group of workers, and of the only one.
    name: str
    #: The project's, for people.
    project: str
    python: Path
    #: What runs Django's commands: manage.py, or `-m django`.
    program: tuple[str, ...]
    directory: Path
    user: str
    workers: tuple[Worker, ...]
    stop: StopTime
    environment: Mapping[str, str]
    home: Path | None = None
    env_file: Path | None = None
    #: Where supervisord and launchd write what the workers print.
    logs: Path | None = None
    #: Words for `celery start` that the options of Celeriac do not have.
    more: tuple[str, ...] = ()
    #: Servers that the project talks to, by the names of systemd's units.
    after: tuple[str, ...] = ()
    #: Of the package `celeriac`: what its databases and broker need.
    extras: tuple[str, ...] = ()
    #: Whether a database of the project is a file.
    has_file: bool = False
    #: Remarks for whoever installs it.
    remarks: tuple[str, ...] = ()
    #: What this host does not have. Not in the files, which may be for another one.
    missing: tuple[str, ...] = ()

    def words(self, worker: Worker, instance: str = INSTANCE) -> list[str]:
        """The command line on this machine."""
        return [str(self.python), *self.program, *self._of_celery(worker, instance)]

    def portable_words(self, worker: Worker, instance: str = INSTANCE) -> list[str]:
        """The command line in the project's directory, with the interpreter that is first there."""
        return [
            "python",
            *(self._portable(word) for word in self.program),
            *self._of_celery(worker, instance),
        ]

    @property
    def portable_environment(self) -> dict[str, str]:
        """What holds on another machine, or in a container."""
        return {name: value for name, value in self.environment.items() if name not in _OF_THIS_MACHINE}

    def _portable(self, word: str) -> str:
        path = Path(word)
        return str(path.relative_to(self.directory)) if path.is_absolute() else word

    def _of_celery(self, worker: Worker, instance: str) -> list[str]:
        """In one place: how a worker of production is started, whoever starts it."""
        node = worker.name if worker.instances == 1 else f"{worker.name}-{instance}"
        words = ["celery", "start", "-n", f"{node}@%h"]
        if worker.queues:
            words += ["-Q", worker.queues]
        if worker.concurrency is not None:
            words += ["-c", str(worker.concurrency)]
        return [*words, *self.more]


@dataclass(frozen=True, slots=True)
class File:
    """A file that was made."""

    name: str
    text: str
