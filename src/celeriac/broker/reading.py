"""A task's message out of the text of its row, for what must be known without a delivery."""

from typing import Any

from kombu.message import Message
from kombu.serialization import prepare_accept_content
from kombu.transport.virtual import Base64

from celeriac.broker import payload
from celeriac.broker.compression import inflate


def read(text: str, accept: list[str]) -> Message:
    """The message, whose `payload` are the task's arguments. Raises whatever cannot be read, in any way.

    Of its content only the types that the app accepts are read.
    """
    raw: dict[str, Any] = payload.decode(text)
    inflate(raw, _decoded)
    properties = raw["properties"]
    return Message(
        body=_decoded(raw["body"], properties.get("body_encoding")),
        content_type=raw.get("content-type"),
        content_encoding=raw.get("content-encoding"),
        delivery_info=properties.get("delivery_info"),
        properties=properties,
        headers=raw.get("headers"),
        accept=prepare_accept_content(accept),
        postencode="utf-8",
    )


def _decoded(body: Any, encoding: str | None) -> Any:
    return Base64().decode(body) if encoding == "base64" else body
