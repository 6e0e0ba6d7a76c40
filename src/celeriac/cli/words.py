"""Reading and leaving out the options of a command line, in every way that they can be written."""

from collections.abc import Sequence

#: What a command line of ours begins with.
PROGRAM = "manage.py celery"


def value_of(options: Sequence[str], names: Sequence[str]) -> str | None:
    """The value of an option in any of the ways that Celery reads it: -P x, -Px, --pool x, --pool=x.

    The last one counts, as it does for Celery.
    """
    found = None
    for position, option in enumerate(options):
        for name in names:
            if option == name:
                found = options[position + 1] if position + 1 < len(options) else None
            elif option.startswith(f"{name}=") and name.startswith("--"):
                found = option.partition("=")[2]
            elif option.startswith(name) and not name.startswith("--"):
                found = option.removeprefix(name)
    return found


def without(options: Sequence[str], names: Sequence[str]) -> list[str]:
    """The options but for those with these names and a value, and that value."""
    kept: list[str] = []
    skip = False
    for option in options:
        if skip:
            skip = False
        elif option in names:
            skip = True
        elif not option.startswith(tuple(f"{name}=" for name in names)):
            kept.append(option)
    return kept
