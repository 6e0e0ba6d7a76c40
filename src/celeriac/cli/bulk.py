"""What commands share that do something with many tasks or letters: which ones, and what came of it."""

from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from celeriac.cli import output
from celeriac.errors import CeleriacError
from celeriac.publisher.batches import SentAgain


def add_yes(parser: ArgumentParser) -> None:
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")


def check(command: str, *, has_ids: bool, has_query: bool) -> None:
    """Raise CeleriacError unless it is said which ones, in one way."""
    if has_ids and has_query:
        raise CeleriacError(f"{command}: give ids or a query, not both.")
    if not has_ids and not has_query:
        raise CeleriacError(f"{command}: which ones? Give ids, or --query 'state:failed since:2h'.")


def sent(found: SentAgain, results: Iterable[Any], *, is_json: bool) -> int:
    """Say what was sent again, and why the rest was not; 1 if there is a rest."""
    if is_json:
        refused = [{"reason": reason, "count": count} for reason, count in found.refused.items()]
        document = {"matched": found.done, "sent": found.sent, "refused": refused, "task_ids": list(results)}
        output.document(document)
    else:
        output.line(f"{found.sent:,} sent again.")
        for reason, count in found.refused.items():
            output.error(f"{count:,} not: {_with_options(reason)}.")
    return 1 if found.refused else 0


def _with_options(reason: str) -> str:
    """The options of the functions as those of the command."""
    return reason.replace("as_new=True", "--as-new").replace("force=True", "--force")


def refusal(error: CeleriacError) -> str:
    return _with_options(str(error))
