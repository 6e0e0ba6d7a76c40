"""What may stand in a row of the schedule: each fault is said by field, with what to write instead."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError

from celeriac.models import Schedule

GOOD = {"name": "entry", "task": "shop.tasks.remind", "every": timedelta(seconds=30)}
CRON = {"every": None}


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({**CRON, "cron": "0 25 * * *"}, "cron", "25 > 23"),
        ({**CRON, "cron": "0 7 * *"}, "cron", "4 fields; five are needed"),
        ({**CRON, "cron": "0 7 31 2 *"}, "cron", ""),
        ({**CRON, "cron": "0 7 * * someday"}, "cron", "someday"),
        (CRON, "cron", "Fill in one of cron, every, solar and at"),
        ({"cron": "0 7 * * *"}, "cron", "only one of cron, every"),
        ({"every": timedelta(0)}, "cron", "Fill in one of"),
        ({"every": timedelta(microseconds=5)}, "every", "The shortest interval is 0.1 s"),
        ({"time_zone": "Europe/Berlim"}, "time_zone", "Did you mean Europe/Berlin?"),
        ({"time_zone": "../../etc/passwd"}, "time_zone", "No time zone"),
        ({"args": {"x": 1}}, "args", "A JSON list is needed"),
        ({"kwargs": [1]}, "kwargs", "A JSON object is needed"),
        ({"options": [1]}, "options", "A JSON object is needed"),
        ({"options": {"queue": "x", "task_id": "1"}}, "options", "queue, task_id cannot be given here"),
        ({**CRON, "solar": "sunrice 48 16"}, "solar", "Did you mean 'sunrise'?"),
        ({**CRON, "solar": "sunrise 48"}, "solar", "An event, a latitude and a longitude"),
        ({"grace_seconds": -1.0}, "grace_seconds", "above 0"),
        ({"catch_up": "some"}, "catch_up", "not a valid choice"),
        ({"task": ""}, "task", "cannot be blank"),
        (
            {"starts_at": datetime(2026, 2, 1, tzinfo=UTC), "ends_at": datetime(2026, 1, 1, tzinfo=UTC)},
            "ends_at",
            "It ends before it starts",
        ),
    ],
)
def test_a_fault_is_refused_on_save_and_says_what_to_do(fields, field, said):
    with pytest.raises(ValidationError) as error:
        Schedule(**{**GOOD, **fields}).save()

    assert said in error.value.message_dict[field][0]


def test_what_is_right_passes():
    Schedule(**GOOD).full_clean(validate_unique=False)
    cron = Schedule(name="e", task="t", cron="*/15 8-17 * * mon-fri", time_zone="Asia/Tokyo", args=[1, "two"])
    cron.full_clean(validate_unique=False)
