"""What is too large for a row: a result is refused, what tells of an error is shortened.

A statement that is larger than MariaDB and MySQL take may cost the connection instead of being refused, which
looks like an outage that never ends: the task would stay STARTED.
"""

from typing import Any

# kombu's, where Celery catches it: the task ends as FAILURE.
from celery.app.trace import EncodeError

from celeriac.conf import options

#: Characters of a result that no limit of use refuses: nearly all results are shorter, and not looked at.
SHORT = 256
#: Characters of an exception's arguments, and of its traceback, that are stored.
MOST_OF_ERROR = 64 * 1024
#: Of what is left of a text, so much is its beginning: what went wrong stands at the end of a traceback.
_BEGINNING = 1 / 4
_MOST_ARGUMENTS = 10


class ResultTooLarge(EncodeError):
    """A result has more bytes than CELERIAC['MAX_RESULT_BYTES'], or than the database takes."""


def check(encoded: str, name: str) -> None:
    """Raise ResultTooLarge for the result of the task with this name, or id."""
    size, limit = size_of(encoded), options().max_result_bytes
    if size > limit:
        raise ResultTooLarge(
            f"The result of {name} has {size:,} bytes, more than {limit:,}. "
            "Store the data and return its key, or raise CELERIAC['MAX_RESULT_BYTES']."
        )


def size_of(text: str) -> int:
    """Its bytes in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def shortened(text: str, most: int = MOST_OF_ERROR) -> str:
    """The text, or its beginning and its end with a line between them that says what is missing."""
    if len(text) <= most:
        return text
    beginning = int(most * _BEGINNING)
    missing = len(text) - most
    return f"{text[:beginning]}\n… {missing:,} characters are left out …\n{text[beginning - most :]}"


def is_error(told: Any) -> bool:
    """Whether it is what Celery tells of an exception."""
    return isinstance(told, dict) and "exc_message" in told


def shortened_error(told: dict[str, Any]) -> dict[str, Any]:
    """What Celery tells of an exception, with arguments that fit."""
    given = told["exc_message"]
    arguments = list(given) if isinstance(given, list | tuple) else [given]
    if len(arguments) > _MOST_ARGUMENTS:
        arguments = [repr(given)]
    texts = [argument if isinstance(argument, str) else repr(argument) for argument in arguments]
    return {**told, "exc_message": [shortened(text, MOST_OF_ERROR // len(texts)) for text in texts]}
