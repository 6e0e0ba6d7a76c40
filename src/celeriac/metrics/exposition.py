"""Prometheus' text format, version 0.0.4: families of samples, each with its help, type and labels."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


@dataclass(slots=True)
class Family:
    """All samples of one name."""

    name: str
    #: gauge, counter or histogram.
    kind: str
    help: str
    #: What follows the name, the labels, and the value.
    samples: list[tuple[str, Labels, float]] = field(default_factory=list)

    def add(self, value: float | None, suffix: str = "", **labels: str) -> None:
        """Add a sample; None is not known, and left out."""
        if value is not None:
            self.samples.append((suffix, labels, value))


def text(families: Iterable[Family]) -> str:
    """The whole answer; a family without samples is left out."""
    return "".join(line for family in families if family.samples for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {_escaped(family.help)}\n"
    yield f"# TYPE {family.name} {family.kind}\n"
    for suffix, labels, value in family.samples:
        pairs = ",".join(f'{name}="{_quoted(each)}"' for name, each in labels.items())
        yield f"{family.name}{suffix}{f'{{{pairs}}}' if pairs else ''} {number(value)}\n"


def number(value: float) -> str:
    """Whole numbers without a fraction, others as short as they can be read back."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _escaped(words: str) -> str:
    return words.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(words: str) -> str:
    return _escaped(words).replace('"', '\\"')
