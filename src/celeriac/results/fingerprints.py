"""What failures of one kind have in common, read from the text of their tracebacks."""

import re
from hashlib import blake2b

_FRAME = re.compile(r'^[ |+-]*File "(?P<path>.+)", line \d+, in (?P<function>.+)$', re.MULTILINE)
_BEGINNING = "Traceback (most recent call last):"
#: Where code stands that is nobody's own.
_OTHERS = re.compile(
    r"[\\/](?:site-packages|dist-packages)[\\/]|[\\/]python\d(?:\.\d+)?[\\/]|[\\/]Lib[\\/]|^<frozen"
)
#: What differs between two messages that say the same: texts in quotes, numbers, ids.
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|\b0x[0-9a-fA-F]+\b|\b[0-9a-fA-F-]{8,}\b|\d+")
#: As many parts of a file's path: hosts may keep a project in different places.
_PARTS = 2


def fingerprint(task_name: str, exception: str, message: str, traceback: str) -> str:
    """The same for failures of a task with one class of exception from one function of the project.

    Without a traceback the message counts, with nothing in it that looks like a value.
    """
    place = _last_own_frame(traceback) or _VALUES.sub("?", message[:200])
    text = "\0".join((task_name, exception, place))
    return blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def _last_own_frame(traceback: str) -> str:
    """File and function where the project's own code was last; else where the error was raised."""
    # What was raised while another error was handled stands last.
    frames = list(_FRAME.finditer(traceback, max(0, traceback.rfind(_BEGINNING))))
    own = [each for each in frames if not _OTHERS.search(each["path"])]
    if not frames:
        return ""
    last = (own or frames)[-1]
    parts = re.split(r"[\\/]", last["path"])[-_PARTS:]
    return f"{'/'.join(parts)} {last['function']}"
