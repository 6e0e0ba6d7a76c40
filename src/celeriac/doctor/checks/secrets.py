"""Secrets that everybody can read who may see the results."""

import re
from collections.abc import Iterator

from django_celery_results.models import TaskResult

from celeriac.doctor.finding import Finding, Kind, Level
from celeriac.doctor.patient import Patient
from celeriac.results.pending import results_alias

_NEWEST = 500
#: What has the form of a key, a token, or an address with its password.
_FORMS = re.compile(
    r"sk_live_\w{8}|\bgh[pousr]_\w{20}|\bAKIA[0-9A-Z]{16}\b|xox[abpr]-\w{8}|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\."
    r"|-----BEGIN [A-Z ]*PRIVATE KEY|\b\w+://[^\s:/@'\"]+:(?!\*)[^\s/@'\"]+@"
)

SHOWN = Kind(
    "secret-in-arguments",
    Level.WARNING,
    "a task has a key, a token or a password among its arguments",
    "It stands in the results, in events and in logs, for everybody who may see those.",
    "@shared_task(sensitive=['name']) hides it; better, send the key of a row that has it.",
)
KINDS = (SHOWN,)


def _arguments(patient: Patient) -> Iterator[Finding]:
    if not patient.has_results:
        return
    rows = TaskResult._default_manager.using(results_alias()).order_by("-pk")
    newest = rows.values_list("task_name", "task_args", "task_kwargs")[:_NEWEST]
    names = {name for name, args, kwargs in newest if _FORMS.search(f"{args} {kwargs}")}
    for name in sorted(str(each) for each in names):
        yield SHOWN.found(f"The arguments of {name} have what looks like a key or a password.")


CHECKS = (_arguments,)
