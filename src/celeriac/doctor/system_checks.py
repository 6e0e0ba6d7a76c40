"""What the doctor finds in settings alone, for `manage.py check --deploy`, under ids of Django's kind.

Not without --deploy: Django runs those at each command, and stops it for an error.
"""

from typing import Any

from django.core import checks
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

#: By the doctor's codes. What celeriac.checks says, and Django says by itself (DEBUG), is not here.
IDS = {
    "started-not-tracked": "celeriac.W005",
    "results-not-extended": "celeriac.W006",
    "results-kept-for-ever": "celeriac.W007",
    "time-zones-differ": "celeriac.W008",
    "naive-times": "celeriac.W009",
    "prefork-on-windows": "celeriac.W010",
    "bad-versions": "celeriac.W011",
    "alive-timeout": "celeriac.W012",
    "broker-open": "celeriac.W013",
    "always-eager": "celeriac.E003",
    "fork-on-macos": "celeriac.E004",
}


def register() -> None:
    """Add them to `manage.py check --deploy`."""
    checks.register(check_cheap, deploy=True)


def check_cheap(**_: Any) -> list[CheckMessage]:
    """W005 to W013, E003 and E004: what settings and versions alone tell."""
    # Only then: every process of the project imports this module.
    from celeriac.app import get_app
    from celeriac.doctor.checks import brokers, settings, starting
    from celeriac.doctor.patient import Patient

    found = []
    try:
        patient = Patient(get_app())
        for look in (*settings.BY_SETTINGS, *starting.BY_SETTINGS, *brokers.BY_SETTINGS):
            found += list(look(patient))
    except (ImproperlyConfigured, ImportError):
        pass  # Settings that cannot be read are said where they are used.
    return [
        (checks.Error if each.is_error else checks.Warning)(each.what, hint=each.fix, id=IDS[each.kind.code])
        for each in found
        if each.kind.code in IDS
    ]
