"""Reading compressed bodies within a bound, before kombu would inflate them without one.

A message of 194 KB was measured to become 200 MB in the worker's main process.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from kombu import compression

from celeriac.broker.refusal import MessageRefused
from celeriac.conf import options

#: How many times MAX_MESSAGE_BYTES an inflated body may have.
_FACTOR = 16

#: kombu's names of a compression → a function (data, most bytes) → the first bytes of what it holds.
_INFLATE: dict[str, Callable[[bytes, int], bytes]] = {
    "application/x-gzip": lambda data, most: zlib.decompressobj().decompress(data, most),
    "application/x-bz2": lambda data, most: bz2.BZ2Decompressor().decompress(data, most),
    "application/x-lzma": lambda data, most: lzma.LZMADecompressor().decompress(data, most),
}


def inflate(raw: dict[str, Any], decode_body: Callable[[Any, str | None], Any]) -> None:
    """Replace a compressed body by what it holds. Raises ValueError for one that is too large."""
    kind = (raw.get("headers") or {}).get("compression")
    if not kind:
        return
    if kind not in _INFLATE:
        raise ValueError(_unreadable(kind))
    body = decode_body(raw["body"], raw["properties"].get("body_encoding"))
    raw["body"] = _inflated(kind, body)
    raw["headers"] = {name: value for name, value in raw["headers"].items() if name != "compression"}
    raw["properties"]["body_encoding"] = None


def bound_kombus() -> None:
    """Let kombu itself inflate no further in this process: it does so before anybody sees the message."""
    for kind in compression.encoders():
        encoder, _ = compression.get_encoder(kind)
        compression.register(encoder, partial(_inflated, kind), kind)


def check(kind: str | None) -> None:
    """Raise MessageRefused for a compression, by one of kombu's names, that no worker would read."""
    if not kind:
        return
    try:
        _, known = compression.get_encoder(kind)
    except KeyError:
        return  # kombu will say so.
    if known not in _INFLATE:
        raise MessageRefused(f"A task cannot be sent {_unreadable(kind)}. Use gzip, bzip2 or lzma.")


def _inflated(kind: str, body: Any) -> bytes:
    if kind not in _INFLATE:
        raise ValueError(_unreadable(kind))
    most = _FACTOR * options().max_message_bytes
    inflated = _INFLATE[kind](body, most + 1)
    if len(inflated) > most:
        raise ValueError(f"its body inflates to more than {most:,} bytes")
    return inflated


def _unreadable(kind: object) -> str:
    return f"compressed as {kind!r}, which cannot be read within a bound"
