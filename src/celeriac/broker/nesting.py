"""How deep JSON is nested, found out without reading it: whoever reads it goes as deep, on the stack.

Python gives up at a depth of its own, which differs from version to version, and what it still reads may end
whoever shows or compares it.
"""

import re
from typing import Any

#: Levels of lists and dicts, one within the other.
MOST_LEVELS = 100
#: A string is one part, also one without an end; no way back into it, so one pass is all it takes.
_PARTS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def is_too_deep(text: str | bytes | None, most: int = MOST_LEVELS) -> bool:
    """Whether JSON goes deeper than `most` levels; what is no JSON may pass for it."""
    if text is None:
        return False
    if len(text) <= most:
        return False
    opened = text.count("[") + text.count("{") if isinstance(text, str) else _opened(text)
    # Nearly all have fewer brackets than that.
    return opened > most and _depth_passes(_as_text(text), most)


def _depth_passes(text: str, most: int) -> bool:
    level = 0
    for part in _PARTS.finditer(text):
        level += _STEPS.get(part[0], 0)
        if level > most:
            return True
    return False


def _opened(text: Any) -> int:
    whole = bytes(text)
    return whole.count(b"[") + whole.count(b"{")


def _as_text(text: Any) -> str:
    # Every byte is a character, and the brackets are themselves in each encoding that JSON may have.
    return text if isinstance(text, str) else bytes(text).decode("latin-1")
