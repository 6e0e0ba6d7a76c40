"""Where the project is: the directory of its `manage.py`."""

import os
import sys
from pathlib import Path

from django.conf import settings

#: A root in here is an installed package, not a project: its neighbors are strangers.
ENVIRONMENTS = frozenset({"site-packages", "dist-packages"})


def project_root() -> Path | None:
    """The directory of `manage.py`, else the one the settings are imported from, else None."""
    for place in (_base_dir(), _directory_of_command(), Path.cwd()):
        if place and (place / "manage.py").is_file():
            return place
    return _home_of_settings()


def _base_dir() -> Path | None:
    base = getattr(settings, "BASE_DIR", None)
    return Path(base) if isinstance(base, str | os.PathLike) and str(base) else None


def _directory_of_command() -> Path | None:
    command = Path(sys.argv[0] if sys.argv else "")
    return command.absolute().parent if command.name == "manage.py" else None


def _home_of_settings() -> Path | None:
    """The directory from which the settings module's top package is imported."""
    top = str(getattr(settings, "SETTINGS_MODULE", None) or "").partition(".")[0]
    module = sys.modules.get(top)
    packages = list(getattr(module, "__path__", ()))
    file = packages[0] if packages else getattr(module, "__file__", None)
    if not file or ENVIRONMENTS & set(Path(file).parts):
        return None
    return Path(file).absolute().parent
