"""What the doctor looks at: asked for once, and by several checks."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from celery import Celery

from celeriac.broker import address
from celeriac.broker.explaining import in_one_line
from celeriac.conf import urls_in
from celeriac.discovery import TaskFile, project_root, scan
from celeriac.errors import Unreachable
from celeriac.models import Worker
from celeriac.results.backend import DatabaseBackend
from celeriac.results.pending import results_alias
from celeriac.selectors import places
from celeriac.selectors import queues as queue_states
from celeriac.selectors import workers as worker_states
from celeriac.worker import platform as pools
from celeriac.worker.about import COMMAND

#: How long workers have for their answer.
_ANSWER_SECONDS = 1.5
#: Where hosts keep the files of supervisord and systemd.
_SERVICE_FILES = (
    "/etc/supervisord.conf",
    "/etc/supervisor/*.conf",
    "/etc/supervisor/conf.d/*.conf",
    "/etc/supervisord.d/*.ini",
    "/etc/supervisord.d/*.conf",
    "/etc/systemd/system/*.service",
    "/etc/systemd/system/*.service.d/*.conf",
    "~/.config/systemd/user/*.service",
)
_OF_PROJECT = (
    "*.service",
    "*supervis*.conf",
    "supervisor*/**/*.conf",
    "deploy/**/*.service",
    "deploy/**/*.conf",
)


@dataclass
class Patient:
    """A project and its host; tests give other hosts."""

    app: Celery
    platform: str = sys.platform
    is_root: bool = field(default_factory=lambda: hasattr(os, "geteuid") and os.geteuid() == 0)
    mounts: Path = Path("/proc/mounts")
    service_files: Sequence[str] = _SERVICE_FILES
    #: Why the broker is not asked again: each question would take seconds.
    away: Unreachable | None = None

    @property
    def conf(self) -> Any:
        """Celery's settings of the project. Raises WrongSetting."""
        return self.app.conf

    @cached_property
    def broker_alias(self) -> str | None:
        """The database with the messages; None: another broker has them."""
        return address.alias_of(self.app)

    @cached_property
    def broker_url(self) -> str:
        """The first one that workers read from."""
        return urls_in(self.conf.broker_read_url)[0]

    @cached_property
    def has_results(self) -> bool:
        """Whether results are in a database."""
        return isinstance(self.app.backend, DatabaseBackend)

    @cached_property
    def aliases(self) -> list[str]:
        """The databases with tables that this project uses."""
        ours = results_alias() if self.has_results or self.broker_alias is None else self.broker_alias
        return list(dict.fromkeys(each for each in (self.broker_alias, ours) if each is not None))

    @cached_property
    def task_files(self) -> list[TaskFile]:
        """Each tasks.py, left out or not."""
        return scan()

    @cached_property
    def task_names(self) -> list[str]:
        """The project's own tasks."""
        self.app.loader.import_default_modules()
        self.app.finalize(auto=True)
        return sorted(name for name in self.app.tasks if not name.startswith("celery."))

    @cached_property
    def pool(self) -> str:
        """The pool that the settings choose; else what suits the platform."""
        chosen = pools.chosen_in_settings(self.app, "worker_pool")
        return chosen or ("threads" if self.platform == "win32" else "prefork")

    @cached_property
    def start_method(self) -> str | None:
        """How processes of the pool begin, where the settings say so."""
        return pools.chosen_in_settings(self.app, "worker_pool_start_method")

    @cached_property
    def queues(self) -> list[queue_states.QueueState]:
        """All queues, and how they are. Raises Unreachable."""
        self._ask_broker()
        return queue_states.queues(self.app)

    @cached_property
    def workers(self) -> list[worker_states.WorkerState]:
        """All workers that have a row."""
        return [each for each in worker_states.workers(self.app, with_tasks=False) if each.pool]

    @cached_property
    def living(self) -> list[worker_states.WorkerState]:
        """Those of them that live."""
        return [each for each in self.workers if each.is_alive]

    @cached_property
    def lost(self) -> set[int]:
        """Those that another worker has found dead."""
        alias = places.of_workers(self.app)
        rows = Worker.objects.using(alias).filter(is_lost=True)
        return set() if alias is None else set(rows.values_list("pk", flat=True))

    @cached_property
    def told(self) -> dict[str, dict[str, Any]]:
        """What each worker that is asked says of itself, by its node; whoever has no row is asked too."""
        if not self.can_ask or (not self.living and self.workers_have_rows):
            return {}
        self._ask_broker()
        with in_one_line(self.app):
            replies = self.app.control.broadcast(COMMAND, reply=True, timeout=_ANSWER_SECONDS) or []
        return {node: said for reply in replies for node, said in reply.items() if isinstance(said, dict)}

    def _ask_broker(self) -> None:
        if self.away is not None:
            raise self.away

    @property
    def can_ask(self) -> bool:
        """Whether workers hear of questions."""
        return bool(self.conf.worker_enable_remote_control)

    @property
    def workers_have_rows(self) -> bool:
        """Whether every worker has one."""
        return self.broker_alias is not None or self.has_results

    def version(self, package: str) -> tuple[int, ...]:
        """Of an installed package; empty where it is not installed."""
        try:
            parts = version(package).split(".")
        except PackageNotFoundError:
            return ()
        return tuple(int(part) for part in parts if part.isdigit())

    def found_service_files(self) -> list[Path]:
        """Of this host and in the project."""
        found: list[Path] = []
        for pattern in self.service_files:
            path = Path(pattern).expanduser()
            found += Path(path.anchor or ".").glob(str(path.relative_to(path.anchor)))
        root = project_root()
        for pattern in _OF_PROJECT if root is not None else ():
            assert root is not None
            found += root.glob(pattern)
        return sorted(set(found))
