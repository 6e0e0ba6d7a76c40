"""Whether the workers of an app would read a content."""

from typing import Any

from kombu.exceptions import SerializerNotInstalled
from kombu.serialization import prepare_accept_content, registry


def is_accepted(content_type: str, accept: Any) -> bool:
    """Whether a type is among those that `accept_content` names."""
    try:
        return content_type in prepare_accept_content(accept)
    except SerializerNotInstalled:
        return False


def type_of(serializer: str) -> str:
    """The content type of a serializer; its own name where there is no such serializer."""
    return str(registry.name_to_type.get(serializer, serializer))
