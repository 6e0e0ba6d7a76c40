"""Which names say that a value is secret, and texts without secret values."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from celeriac.conf import options

#: What is shown in the place of a value.
HIDDEN = "***"
_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


def is_sensitive(key: Any) -> bool:
    """Whether the words of a key say that its value is secret: `apiKey`, `API-KEY` and `api_key` are one."""
    return isinstance(key, str) and _is_sensitive(key, options().sensitive_keys)


def without(secrets: Iterable[str], value: Any) -> Any:
    """A text, or a container of texts, in which none of them stands."""
    if isinstance(value, str):
        for each in secrets:
            value = value.replace(each, HIDDEN)
        return value
    if isinstance(value, dict):
        return {key: without(secrets, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without(secrets, each) for each in value]
    return value


@lru_cache(maxsize=4096)
def _is_sensitive(key: str, patterns: tuple[str, ...]) -> bool:
    return bool(patterns) and _pattern(patterns).search(_BORDER.sub("_", key).lower()) is not None


@lru_cache(maxsize=8)
def _pattern(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?:^|_)(?:{'|'.join(patterns)})(?:_|\d|$)")
