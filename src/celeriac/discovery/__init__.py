"""Find the project's `tasks.py` files and import each once, under the name a user's own import gives it.

Promises: a file is imported only when every rule of `rules.py` lets it; each file that is left
out says why; a file that fails stops the caller. Knows nothing of Celery, brokers or commands.
"""

import os
from pathlib import Path

from celeriac.conf import options
from celeriac.discovery.importing import fault_of, import_all, names_of
from celeriac.discovery.installed import installed_files, used_bases
from celeriac.discovery.judging import Judge
from celeriac.discovery.naming import Namer
from celeriac.discovery.root import project_root
from celeriac.discovery.rules import Rules
from celeriac.discovery.taskfile import TaskFile
from celeriac.discovery.walk import walk

__all__ = ["TaskFile", "discover", "fault_of", "import_all", "names_of", "project_root", "scan"]


def discover() -> list[TaskFile]:
    """Scan, import what was accepted, return all; raises TaskFileError for a file that fails."""
    files = scan()
    import_all(files)
    return files


def scan(root: Path | None = None) -> list[TaskFile]:
    """List every task file, accepted or left out with its reason; import nothing."""
    judge = _judge(root or project_root())
    installed = installed_files()
    files = [judge.installed(path, name) for path, name in installed.items()]
    if judge.rules and options().discover:
        for path, reason in walk(judge.rules):
            # An app may be installed through a link; its file has its line already.
            if os.path.realpath(path) not in installed:
                files.append(judge.walked(path, reason))
    return sorted(files, key=lambda file: file.path)


def _judge(root: Path | None) -> Judge:
    namer = Namer(bases=used_bases())
    if root is None:
        return Judge(namer)
    # The real path: `/srv/current` is often a link to the release that Python imports from.
    real = root.resolve()
    return Judge(namer, real, Rules.of(real))
