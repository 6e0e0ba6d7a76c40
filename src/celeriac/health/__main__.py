"""`python -m celeriac.health`: the probe for containers and supervisors; no Django, no Celery, no project."""

import os
import sys
from argparse import ArgumentParser

from celeriac.health import place, probe


def main(words: list[str] | None = None) -> int:
    """Look, say what was found, and return the exit code: 0 well, 1 not, 69 no worker is here."""
    options = _parser().parse_args(words)
    verdict = probe.look(
        place.directory(options.directory), node=options.node, max_age=options.max_age, ready=options.ready
    )
    if options.json:
        import json

        print(json.dumps(verdict.document()))
    else:
        print("\n".join(verdict.lines()))
    return verdict.code


def add_arguments(parser: ArgumentParser) -> None:
    """Those that `manage.py celery health` has, too."""
    parser.add_argument(
        "--node", help="of this worker alone: one@host, or one; without it, of all of this host"
    )
    parser.add_argument(
        "--max-age",
        type=float,
        default=probe.MAX_AGE_SECONDS,
        metavar="S",
        help="seconds without a turn of its loop after which a worker hangs (default: %(default)g)",
    )
    parser.add_argument("--ready", action="store_true", help="also: it has its broker and is not stopping")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "python -m celeriac.health",
        description="Whether the workers of this host live and go on. Exit code 0: well, 1: not, 69: none.",
        epilog="Example: python -m celeriac.health --node mails --max-age 60",
    )
    add_arguments(parser)
    parser.add_argument(
        "--directory",
        default=os.environ.get(place.VARIABLE),
        help=f"CELERIAC['RUNTIME_DIRECTORY'], where that is set; also by ${place.VARIABLE}",
    )
    parser.add_argument("--json", action="store_true", help="for machines: the same as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
