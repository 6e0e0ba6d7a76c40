"""When an entry is due: intervals, cron in time zones, changes of the clock, ends, and missed times."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import BaseSchedule, crontab, schedule

from celeriac.models import CatchUp
from celeriac.schedule.due import judge
from celeriac.schedule.entries import Entry
from celeriac.schedule.times import Timing

BERLIN = ZoneInfo("Europe/Berlin")
SECOND = 1_000_000


def moment(*parts, zone=BERLIN):
    return int(datetime(*parts, tzinfo=zone).timestamp()) * SECOND


def due_times(given, start, count, *, zone=BERLIN):
    """The next due times, as the clock on the wall has them, with its distance from UTC."""
    timing, found = Timing(given, zone), []
    at = moment(*start, zone=zone)
    for _ in range(count):
        at = timing.after(at, anchor=0)
        found.append(datetime.fromtimestamp(at / SECOND, UTC).astimezone(zone).strftime("%d %H:%M %z"))
    return found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # Daily in the missing hour: that much later, and not left out.
        (crontab(30, 2), ["28 02:30 +0100", "29 03:30 +0200", "30 02:30 +0200"]),
        # Each of several times in it, and none twice.
        (
            crontab("*/30", 2),
            ["28 02:00 +0100", "28 02:30 +0100", "29 03:00 +0200", "29 03:30 +0200", "30 02:00 +0200"],
        ),
        (crontab(0, 12), ["28 12:00 +0100", "29 12:00 +0200"]),
    ],
)
def test_the_clock_is_put_forward(given, expected):
    assert due_times(given, (2026, 3, 28, 1), len(expected)) == expected


def test_an_hourly_entry_has_no_gap_when_the_clock_is_put_forward():
    found = due_times(crontab(30), (2026, 3, 29, 0, 45), 3)

    assert found == ["29 01:30 +0100", "29 03:30 +0200", "29 04:30 +0200"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # In the hour that comes twice: in the first of both.
        (crontab(30, 2), ["25 02:30 +0200", "26 02:30 +0100", "27 02:30 +0100"]),
        (crontab("*/30", 2), ["25 02:00 +0200", "25 02:30 +0200", "26 02:00 +0100"]),
        # Of every hour: in both.
        (crontab(30), ["25 01:30 +0200", "25 02:30 +0200", "25 02:30 +0100", "25 03:30 +0100"]),
        (crontab(0, 12), ["25 12:00 +0100", "26 12:00 +0100"]),
    ],
)
def test_the_clock_is_put_back(given, expected):
    assert due_times(given, (2026, 10, 25, 1), len(expected)) == expected


def test_an_interval_minds_no_clock_on_the_wall():
    timing, start = Timing(schedule(timedelta(hours=1)), BERLIN), moment(2026, 10, 25, 0)

    assert timing.after(start, start) == start + 3600 * SECOND
    assert timing.last(start, start + 26 * 3600 * SECOND, start) == start + 26 * 3600 * SECOND


def test_an_interval_does_not_drift():
    timing = Timing(schedule(1.5), BERLIN)

    assert [timing.after(at, 7) for at in (7, 1_400_000, 1_500_007)] == [1_500_007, 1_500_007, 3_000_007]


def test_a_rounded_interval_of_days_is_due_at_midnight():
    given = schedule(timedelta(days=1), relative=True)

    assert due_times(given, (2026, 10, 24, 5), 3) == ["25 00:00 +0200", "26 00:00 +0100", "27 00:00 +0100"]


def test_each_entry_has_its_own_time_zone():
    tokyo = ZoneInfo("Asia/Tokyo")

    assert due_times(crontab(0, 9), (2026, 7, 1, 8), 1, zone=tokyo) == ["01 09:00 +0900"]
    assert Timing(crontab(0, 9), tokyo).after(moment(2026, 7, 1, 0), 0) == moment(2026, 7, 1, 2)


def test_nothing_is_due_before_the_start_and_after_the_end():
    start, end = moment(2026, 7, 1, 9), moment(2026, 7, 2, 9)
    timing = Timing(crontab(0, 9), BERLIN, starts_at=start, ends_at=end)

    assert timing.first(moment(2026, 6, 1, 9)) == start
    assert timing.first(moment(2026, 7, 1, 10)) == end
    assert timing.first(end) is None
    assert Timing(schedule(60), BERLIN, starts_at=start).first(start - 5) == start
    assert Timing(schedule(60), BERLIN, starts_at=start).first(start + 1) == start + 60 * SECOND


def test_a_moment_is_due_once():
    timing = Timing(None, BERLIN, at=1000)

    assert (timing.first(5000), timing.after(999, 0), timing.after(1000, 0)) == (1000, 1000, None)


def entry(catch_up, *, given=None, grace=None, **more):
    timing = Timing(given or schedule(1), BERLIN)
    return Entry("e", "t", timing, catch_up=catch_up, grace=None if grace is None else grace * SECOND, **more)


@pytest.mark.parametrize(
    ("catch_up", "grace", "late", "published", "next_due"),
    [
        # In time: whatever the policy.
        (CatchUp.SKIP, None, 0, [10], 11),
        (CatchUp.ONCE, None, 0, [10], 11),
        (CatchUp.ALL, None, 0, [10], 11),
        # Three are missed, and the last one has just come.
        (CatchUp.SKIP, None, 3.5, [13], 14),
        (CatchUp.ONCE, None, 3.5, [13], 14),
        (CatchUp.ALL, None, 3.5, [10, 11, 12, 13], 14),
        (CatchUp.ALL, 2, 3.5, [12, 13], 14),
        (CatchUp.ONCE, 0.2, 3.5, [], 14),
    ],
)
def test_what_fires_of_due_times_that_were_missed(catch_up, grace, late, published, next_due):
    found = judge(entry(catch_up, grace=grace), 10 * SECOND, int((10 + late) * SECOND), anchor=0)

    assert [each // SECOND for each in found.published] == published
    assert found.next_due == next_due * SECOND
    assert found.has_missed is (len(published) <= late)


def test_a_daily_entry_that_was_missed_fires_later_by_its_policy_alone():
    due, now = moment(2026, 7, 1, 3), moment(2026, 7, 3, 12)
    following, last = moment(2026, 7, 4, 3), moment(2026, 7, 3, 3)
    daily = crontab(0, 3)

    assert judge(entry(CatchUp.SKIP, given=daily), due, now, 0).published == []
    assert judge(entry(CatchUp.SKIP, given=daily), due, now, 0).next_due == following
    assert judge(entry(CatchUp.ONCE, given=daily), due, now, 0).published == [last]
    assert len(judge(entry(CatchUp.ALL, given=daily), due, now, 0).published) == 3


def test_all_of_a_long_time_is_caught_up_in_parts():
    found = judge(entry(CatchUp.ALL), 0, 10_000 * SECOND, anchor=0)

    assert (len(found.published), found.next_due) == (100, 100 * SECOND)


def test_a_one_off_entry_is_due_once():
    found = judge(entry(CatchUp.ALL, is_one_off=True), 10 * SECOND, 13 * SECOND, anchor=0)

    assert (found.published, found.next_due) == ([13 * SECOND], None)


class Noon(BaseSchedule):
    """A class of a project's own; solar events are computed in the same way."""

    def remaining_estimate(self, last_run_at):
        noon = last_run_at.replace(hour=12, minute=0, second=0, microsecond=0)
        return noon + timedelta(days=last_run_at >= noon) - self.now()


def test_a_schedule_of_ones_own_is_asked_for_any_moment():
    assert due_times(Noon(), (2026, 7, 1, 8), 2, zone=ZoneInfo("UTC")) == ["01 12:00 +0000", "02 12:00 +0000"]


def test_a_schedule_that_never_comes_to_an_end_is_an_error():
    class Past(BaseSchedule):
        def remaining_estimate(self, last_run_at):
            return timedelta(days=-1000)

    with pytest.raises(ValueError, match="no due time of"):
        Timing(Past(), BERLIN).after(0, 0)
