"""The files of supervisord and systemd, here and in the project: whether a stop kills running tasks."""

import re
from collections.abc import Iterator
from configparser import ConfigParser, Error
from pathlib import Path

from celeriac.doctor.finding import Finding, Kind, Level
from celeriac.doctor.patient import Patient
from celeriac.services import stop_time

#: A beat or a monitor has no pool whose processes a stop could hit.
_WORKERS = re.compile(r"(?<![\w/.-])(?:worker|start|multi)\b")
_OTHERS = re.compile(r"(?<![\w/.-])(?:beat|flower)\b")
_TIME_LIMIT = re.compile(r"\s--time-limit[=\s]\s*(\d+(?:\.\d+)?)")
_SECONDS = {"": 1, "s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "hr": 3600}
#: Of supervisord and of systemd.
_DEFAULT_STOP = {"supervisord": 10.0, "systemd": 90.0}

STOPS_GROUP = Kind(
    "supervisord-stops-group",
    Level.ERROR,
    "supervisord with stopasgroup=true",
    "Its TERM reaches the processes of the pool too, which end in the middle of their tasks.",
    "stopasgroup=false and killasgroup=true, or python manage.py celery service supervisord",
)
KILLS_GROUP = Kind(
    "systemd-kills-group",
    Level.ERROR,
    "a systemd unit with KillMode=control-group, the default",
    "Its TERM reaches the processes of the pool too, which end in the middle of their tasks.",
    "KillMode=mixed, or python manage.py celery service systemd",
)
TOO_SOON = Kind(
    "stops-too-soon",
    Level.WARNING,
    "a service that is killed before its longest task may end",
    "What runs at a deploy is killed, and begins again elsewhere.",
    "stopwaitsecs or TimeoutStopSec above the longest time limit.",
)
KINDS = (STOPS_GROUP, KILLS_GROUP, TOO_SOON)


def _files(patient: Patient) -> Iterator[Finding]:
    for path in patient.found_service_files():
        for section, given in _sections(path):
            if path.suffix == ".service":
                yield from _systemd(path, given, _longest(patient, given))
            elif section.startswith("program:"):
                yield from _supervisord(path, section, given, _longest(patient, given))


def _sections(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Each section with its options, where it runs Celery; a file that is none of theirs has none."""
    parser = ConfigParser(
        interpolation=None, strict=False, inline_comment_prefixes=(";",), allow_no_value=True
    )
    try:
        # What is written beside a unit of systemd, as by `systemctl edit`, holds before it.
        for part in (path, *sorted(path.with_name(f"{path.name}.d").glob("*.conf"))):
            parser.read_string(part.read_text(encoding="utf-8"))
    except (OSError, Error, UnicodeDecodeError):
        return
    for section in parser.sections():
        given = {key: (value or "").strip() for key, value in parser.items(section)}
        command = _command(given)
        is_other = _OTHERS.search(command) and not _WORKERS.search(command)
        if re.search(r"\bcelery\b", command) and not is_other:
            yield section, given


def _command(given: dict[str, str]) -> str:
    return given.get("command", "") or given.get("execstart", "")


def _longest(patient: Patient, given: dict[str, str]) -> float:
    """Of a task without a limit of its own; the worker's command line may say it."""
    found = _TIME_LIMIT.findall(_command(given))
    limits = stop_time.Limits(hard=float(found[-1]) if found else None)
    return float(stop_time.of_worker(patient.app, limits).hard or 0)


def _supervisord(path: Path, section: str, given: dict[str, str], longest: float) -> Iterator[Finding]:
    if given.get("stopasgroup", "").lower() in {"true", "1", "yes", "on"}:
        yield STOPS_GROUP.found(f"[{section}] in {path} has stopasgroup=true.")
    yield from _stop(path, given.get("stopwaitsecs"), "supervisord", longest)


def _systemd(path: Path, given: dict[str, str], longest: float) -> Iterator[Finding]:
    if given.get("killmode", "control-group") == "control-group":
        yield KILLS_GROUP.found(f"{path} has KillMode=control-group.")
    yield from _stop(path, given.get("timeoutstopsec"), "systemd", longest)


def _stop(path: Path, given: str | None, kind: str, longest: float) -> Iterator[Finding]:
    seconds = _DEFAULT_STOP[kind] if not given else _in_seconds(given)
    if seconds is not None and seconds < longest:
        yield TOO_SOON.found(
            f"{path} lets a worker {seconds:.0f} s to stop; a task may run for {longest:.0f} s."
        )


def _in_seconds(given: str) -> float | None:
    """None: for ever, or in a way that is not read here."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", given)
    return float(found[1]) * _SECONDS[found[2]] if found and found[2] in _SECONDS else None


CHECKS = (_files,)
