"""`manage.py celery clean`: delete by hand what workers delete when it is old enough."""

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from celery import Celery
from django.db.models import QuerySet

from celeriac.cli import bulk, output
from celeriac.cli.command import Command
from celeriac.errors import CeleriacError
from celeriac.results import retention
from celeriac.results.backend import DatabaseBackend
from celeriac.results.pending import results_alias
from celeriac.selectors import places
from celeriac.selectors.query_values import span_of


def _work(app: Celery, options: Namespace) -> int:
    """0: it is deleted, or nothing is old enough; 1: nobody said yes."""
    found = _counts(app, options)
    count = found.total()
    if options.dry_run or not count:
        return _say(found, options)
    listed = ", ".join(f"{number:,} {name}" for name, number in found.items() if number)
    question = f"Delete {listed}, and what belongs to them?"
    if not output.is_confirmed(question, is_given=options.yes):
        return 1
    deleted = Counter(dict.fromkeys(found, 0))
    with output.progress("deleted", count) as show:
        for rows in _tables(app, options):
            for step in retention.delete_in_steps(rows.db, rows):
                deleted[_name(rows)] += step
                show(deleted.total())
    return _say(deleted, options)


def _tables(app: Celery, options: Namespace) -> Iterator[QuerySet[Any]]:
    older_than = _older_than(app, options)
    if older_than is not None:
        has_results = isinstance(app.backend, DatabaseBackend)
        # What somebody says by hand is meant of attempts too.
        attempts = older_than if options.older_than else None
        yield from retention.expired(results_alias(), older_than, has_results=has_results, attempts=attempts)
    letters = _span("--dead-letters-older-than", options.dead_letters_older_than)
    kept = retention.dead_letters_kept() if letters is None else letters
    yield retention.expired_letters(places.of_letters(app), kept)


def _counts(app: Celery, options: Namespace) -> Counter[str]:
    """What is there now; attempts and parts of chords are found when what they belong to is gone."""
    found: dict[str, list[QuerySet[Any]]] = {}
    for rows in _tables(app, options):
        found.setdefault(_name(rows), []).append(rows.order_by().values("pk"))
    # A row that is meant twice is deleted once.
    return Counter({name: first.union(*more).count() for name, (first, *more) in found.items()})


def _older_than(app: Celery, options: Namespace) -> timedelta | None:
    """As it is said, or as long as results are kept; None: for ever."""
    if (given := _span("--older-than", options.older_than)) is not None:
        return given
    return retention.results_kept(app)


def _span(option: str, text: str | None) -> timedelta | None:
    if text is None:
        return None
    if (span := span_of(text)) is None:
        raise CeleriacError(f"clean: {option} {text!r} is no length of time. Write 12h, 7d or 4w.")
    return span


def _name(rows: QuerySet[Any]) -> str:
    return str(rows.model._meta.verbose_name_plural)


def _say(counts: Counter[str], options: Namespace) -> int:
    if options.json:
        key = "would_delete" if options.dry_run else "deleted"
        output.document({key: counts})
    elif not counts.total():
        output.line("Nothing is old enough.")
    else:
        output.table(("table", "rows"), [(name, str(number)) for name, number in counts.items() if number])
    return 0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--older-than", metavar="SPAN", help="what ended so long ago: 12h, 7d (CELERY_RESULT_EXPIRES)"
    )
    parser.add_argument(
        "--dead-letters-older-than", metavar="SPAN", help="dead letters older than that (DEAD_LETTER_DAYS)"
    )
    parser.add_argument("--dry-run", "-n", action="store_true", help="count, and delete nothing")
    bulk.add_yes(parser)


COMMAND = Command(
    "clean",
    "Deletes results, records, attempts, groups, chords, revocations and dead letters that are old enough,\n"
    "in steps that nobody waits for. Workers do so by themselves, each hour; what never ended is kept ten\n"
    "times as long.",
    "clean --older-than 7d --dry-run",
    _work,
    _arguments,
)
