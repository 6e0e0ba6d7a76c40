"""The report of the soak: peers side by side, and one put together from several runs."""

import json

from benchmarks.machine import Machine
from soak.counts import Counts
from soak.performing import Outcome
from soak.records import Records, Run, from_json, merged
from soak.report import page


def outcome(row, side, *, lost=0, seed=1, complaints=(), figures=None):
    counts = Counts(100, 100, 100 - lost, lost, 3, 0, 0, lost, [] if lost else [0.5, 1.25])
    ours = side.startswith("celeriac-")
    return Outcome(
        row=row,
        title=f"title of {row}",
        side=side,
        is_ours=ours,
        seed=seed,
        date="2026-11-26 09:00 UTC",
        seconds=1.0,
        blows=2,
        counts=counts,
        figures=figures or {},
        complaints=list(complaints),
    )


def records(*outcomes, date="2026-11-26 09:00 UTC", left_out=None):
    machine = Machine(date, "Linux", "a processor", 2, 8.0, "3.13", {"celery": "5.7"}, {}, [0.1], [0.2])
    return Records([Run("long", machine)], list(outcomes), left_out or {})


def test_what_peers_were_dealt_too_stands_side_by_side_at_the_top():
    text = page.text(
        records(
            outcome("F2", "celeriac-sqlite"),
            outcome("F3", "celeriac-sqlite"),
            outcome("F2", "celery-redis", lost=7),
        )
    )

    top = text.partition("## Celeriac, SQLite")[0]
    assert "| fault | Celeriac, SQLite | Celery, Redis, results in Redis |" in top
    assert (
        "| F2 a worker is killed | lost 0<br>twice 3<br>stuck 0<br>1.2 s"
        " | lost **7**<br>twice 3<br>stuck **7**<br>never |" in top
    )
    assert "F3" not in top
    assert "the promise held each time" in top


def test_what_did_not_hold_is_said_at_the_top_and_without_the_log():
    broken = outcome("F2", "celeriac-sqlite", lost=1, seed=5, complaints=["lost: 1", "--- w0: the log"])

    top = page.text(records(broken)).partition("## Celeriac, SQLite")[0]

    assert "- celeriac-sqlite F2, seed 5: lost: 1\n" in top


def test_a_report_of_several_runs_has_the_newest_of_each_row_on_each_system():
    old = records(
        outcome("F2", "celeriac-sqlite", seed=1),
        outcome("F3", "celeriac-sqlite", seed=1),
        date="2026-11-25 09:00 UTC",
        left_out={"celery-redis": "no Redis", "django-tasks-db": "missing"},
    )
    new = records(outcome("F2", "celeriac-sqlite", seed=2), outcome("F2", "celery-redis", seed=2))

    found = merged(new, from_json(json.loads(json.dumps(old.as_json()))))

    rows = [(each.row, each.side, each.seed, found.runs[each.run].machine.date) for each in found.outcomes]
    assert rows == [
        ("F2", "celeriac-sqlite", 2, "2026-11-26 09:00 UTC"),
        ("F2", "celery-redis", 2, "2026-11-26 09:00 UTC"),
        ("F3", "celeriac-sqlite", 1, "2026-11-25 09:00 UTC"),
    ]
    assert found.left_out == {"django-tasks-db": "missing"}
    text = page.text(found)
    assert "| 1 | 2026-11-26 09:00 UTC | long | 0.1 | 0.2 |\n| 2 | 2026-11-25 09:00 UTC | long |" in text
    assert text.count("a processor") == 1


def test_what_a_row_found_out_stands_beside_its_counts():
    text = page.text(records(outcome("F6", "celeriac-sqlite", figures={"slowest stop, s": 1.75})))

    assert "| slowest stop, s 1.75 | 1 | 1 |" in text
