"""How long names are at the most, and what no name may hold."""

from celeriac.errors import NameRefused

#: Of a queue, a routing key, a node: an index of several of them must fit in MySQL.
NAME_LENGTH = 200
#: Of a task, and of its id.
LONG_NAME_LENGTH = 255


def fault_of(name: object, longest: int = NAME_LENGTH) -> str | None:
    """Why this is no name for a row, for a broker and for a log, or None."""
    if not isinstance(name, str):
        return f"is no text but {type(name).__name__}"
    if len(name) > longest:
        return f"has {len(name):,} characters, and {longest} are possible"
    # Half of a pair is no character, and no database takes it.
    if "\x00" in name or not (name.isascii() or name.encode("utf-8", "ignore").decode() == name):
        return "has a character that no database can store"
    return None


def check(kind: str, name: object, longest: int = NAME_LENGTH) -> None:
    """Raise NameRefused for a name that has a fault, on one line, whatever is in it."""
    if (fault := fault_of(name, longest)) is not None:
        text = str(name)
        shown = ascii(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!a}…"
        raise NameRefused(f"The {kind} {shown} {fault}. Give it another name.")


_SHOWN = 30
