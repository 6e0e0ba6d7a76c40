"""Patterns that find a task's arguments in their reprs, which are stored for people.

Nothing sensitive stands in those; the messages, which have everything, are not looked at.
"""

import json
import re

from celeriac.errors import QueryError
from celeriac.selectors.query_values import Text
from celeriac.sensitive.keys import is_sensitive

#: A letter or digit at the border of what is looked for ends there: 42 is not in 1421.
_NO_LETTER = r"[^0-9A-Za-z_]"


def within(value: Text) -> str:
    """A pattern for a text that stands in a repr, which is stored as JSON."""
    text = value.text
    pattern = re.escape(_as_json(text)) if value.is_literal else _with_asterisks(text)
    before = f"(^|{_NO_LETTER})" if _is_letter(text[0]) else ""
    after = f"({_NO_LETTER}|$)" if _is_letter(text[-1]) else ""
    return f"{before}{pattern}{after}"


def keyword(value: Text) -> str:
    """A pattern for `key=value` in the repr of a dictionary, or for a key alone."""
    key, has_value, wanted = value.text.partition("=")
    if is_sensitive(key):
        raise QueryError(f"kwargs: the values of {key} are not shown, and nobody can look for them.")
    named = f"'{re.escape(_as_json(key))}': "
    if not has_value:
        return named
    pattern = re.escape(_as_json(wanted)) if value.is_literal else _with_asterisks(wanted, any_text="[^,}]*")
    quote = r"""(\\?["'])?"""
    return f"{named}{quote}{pattern}{quote}[,}}]"


def _with_asterisks(text: str, any_text: str = ".*") -> str:
    return any_text.join(re.escape(_as_json(piece)) for piece in text.split("*"))


def _as_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _is_letter(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "_")
