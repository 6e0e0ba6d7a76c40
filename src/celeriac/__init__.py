"""Celeriac: Celery, rooted in a Django project's own database."""

# Not from `typing`, which takes longer to import than all that the health probe does.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

#: What is imported when it is asked for: this package is imported before Django has its models.
_LATER = {
    "bulk": "celeriac.publisher.blocks",
    "is_available": "celeriac.health.available",
    "publish_many": "celeriac.publisher.many",
}


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
