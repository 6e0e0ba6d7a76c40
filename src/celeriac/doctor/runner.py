"""All checks, one after the other; one that cannot be done says so and keeps no other from being done."""

from collections.abc import Iterator

from django.db import Error

from celeriac.database import failures
from celeriac.doctor.checks import (
    brokers,
    code,
    databases,
    queues,
    schedules,
    secrets,
    services,
    settings,
    starting,
    system,
    workers,
)
from celeriac.doctor.finding import Check, Finding, Kind, Level
from celeriac.doctor.patient import Patient
from celeriac.errors import CeleriacError

#: In the order in which they are told: what must be mended first stands first.
MODULES = (
    system,
    settings,
    starting,
    databases,
    brokers,
    code,
    queues,
    workers,
    schedules,
    secrets,
    services,
)

NOT_CHECKED = Kind(
    "not-checked",
    Level.ERROR,
    "a check cannot be done",
    "What this check would find stays unknown.",
    "Mend what it says; if that is no fault of the project, report it.",
)
#: Where one of these is found, a check that fails for the same reason says nothing more.
_CAUSES = frozenset(
    {
        "wrong-setting",
        "database-away",
        "migrations-missing",
        "broker-away",
        "app-not-found",
        "task-file-broken",
    }
)


def kinds() -> list[Kind]:
    """All that can be found, in order."""
    return [kind for module in MODULES for kind in module.KINDS] + [NOT_CHECKED]


def examine(patient: Patient, *, is_production: bool) -> list[Finding]:
    """Every finding, errors first."""
    found: list[Finding] = []
    undone: list[Finding] = []
    for module in MODULES:
        for check in module.CHECKS:
            found += _done(check, patient, undone)
        if any(each.kind.code == "app-not-found" for each in found):
            # All that follows asks the app.
            break
    # A check may come before the one that finds why it fails.
    if not any(each.kind.code in _CAUSES for each in found):
        found += undone
    told = [each for each in found if is_production or not each.kind.is_of_production]
    return sorted(told, key=lambda each: not each.is_error)


def _done(check: Check, patient: Patient, undone: list[Finding]) -> Iterator[Finding]:
    try:
        yield from list(check(patient))
    except (Error, CeleriacError) as error:
        undone.append(NOT_CHECKED.found(f"{check.__name__.strip('_')}: {failures.first_line(error)}"))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others are worth having
        undone.append(NOT_CHECKED.found(f"{check.__name__.strip('_')}: {error!r}"))
