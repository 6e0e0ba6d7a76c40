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

#: A bomb is found out in steps of so many bytes, of which none is kept.
_STEP = 1024 * 1024

#: The libraries as kombu has found them, for the same must read what it writes: zstandard up to 5.6, then
#: Python's own. None: there is none.
_brotli: Any = getattr(compression, "brotli", None)
_zstd: Any = getattr(compression, "zstd", None)


class _Deflated:
    """zlib's decompressor, whose rest the caller has to keep, as the others are."""

    def __init__(self) -> None:
        self._real = zlib.decompressobj()

    @property
    def eof(self) -> bool:
        return self._real.eof

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._real.decompress(data or self._real.unconsumed_tail, most)


class _Brotli:
    """brotli's decompressor, in the words of the others."""

    def __init__(self) -> None:
        self._real: Any = _brotli.Decompressor()

    @property
    def eof(self) -> bool:
        return bool(self._real.is_finished())

    def decompress(self, data: bytes, most: int) -> bytes:
        return bytes(self._real.process(data, output_buffer_limit=most))


def _in_steps(make: Callable[[], Any], body: bytes, most: int) -> bytes | None:
    """Of a decompressor that stops after so many bytes; None: there are more than `most`."""
    if _is_larger(make(), body, most):
        return None
    inflating = make()
    # With room for one more it comes to its end, which stands behind the last byte.
    found = bytes(inflating.decompress(body, most + 1))
    if not inflating.eof:
        raise ValueError("its compressed body has no end")
    return found


def _by_zstandard(body: bytes, most: int) -> bytes | None:
    """A frame says how much it holds, kombu's always; the library inflates no more than that."""
    return None if _zstd.frame_content_size(body) > most else bytes(_zstd.ZstdDecompressor().decompress(body))


#: kombu's names of a compression → what inflates a body to so many bytes; None: it holds more.
_INFLATE: dict[str, Callable[[bytes, int], bytes | None]] = {
    "application/x-gzip": partial(_in_steps, _Deflated),
    "application/x-bz2": partial(_in_steps, bz2.BZ2Decompressor),
    "application/x-lzma": partial(_in_steps, lzma.LZMADecompressor),
}
if hasattr(_zstd, "frame_content_size"):
    _INFLATE["application/zstd"] = _by_zstandard
elif _zstd is not None:
    _INFLATE["application/zstd"] = partial(_in_steps, _zstd.ZstdDecompressor)
# From brotli 1.2 on it can stop.
if hasattr(getattr(_brotli, "Decompressor", None), "can_accept_more_data"):
    _INFLATE["application/x-brotli"] = partial(_in_steps, _Brotli)


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
    """Let kombu itself inflate no further in this process: it does so before anybody sees the message.

    What cannot be bounded, as a compression of the project's own, is read as ever.
    """
    for kind in _INFLATE.keys() & set(compression.encoders()):
        encoder, _ = compression.get_encoder(kind)
        compression.register(encoder, partial(_inflated, kind), kind)


def check(kind: str | None) -> None:
    """Raise MessageRefused for a compression, by one of kombu's names, that no worker of a database reads."""
    if not kind:
        return
    try:
        _, known = compression.get_encoder(kind)
    except KeyError:
        return  # kombu will say so.
    if known not in _INFLATE:
        raise MessageRefused(f"A task cannot be sent {_unreadable(kind)}. Use gzip, bzip2, lzma or zstd.")


def _inflated(kind: str, body: Any) -> bytes:
    most = _FACTOR * options().max_message_bytes
    found = _INFLATE[kind](body, most)
    if found is None:
        raise ValueError(f"its body inflates to more than {most:,} bytes")
    return found


def _is_larger(inflating: Any, body: bytes, most: int) -> bool:
    size = 0
    while step := inflating.decompress(body, _STEP):
        size += len(step)
        if size > most:
            return True
        # The rest of it is with the decompressor, which takes no more at its end.
        if inflating.eof:
            return False
        body = b""
    return False


def _unreadable(kind: object) -> str:
    return f"compressed as {kind!r}, which cannot be read within a bound"
