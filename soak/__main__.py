"""`make soak`: deal the faults, print the tables, and write docs/reliability.md after a whole run."""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from soak.options import NAME, Options, parse
from soak.records import Records, from_json, merged
from soak.report import page
from soak.run import run


def main(words: list[str]) -> int:
    """The exit code: 1 when the promise did not hold in a run of Celeriac's."""
    options = parse(words)
    earlier = [from_json(json.loads((directory / NAME).read_text())) for directory in options.add]

    def keep(records: Records) -> None:
        # After each row: whoever stops a run of hours has what there is.
        if options.write is not None:
            _write(options.write, merged(records, *earlier))

    records = merged(_dealt(options, keep), *earlier)
    print(f"\n{page.text(records)}")
    if options.write is not None:
        _write(options.write, records)
        print(f"Written: {options.write}/reliability.md and .json")
    return 1 if records.broken else 0


def _dealt(options: Options, keep: Callable[[Records], None]) -> Records:
    return run(options, keep) if options.is_run else Records([])


def _write(directory: Path, records: Records) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "reliability.md").write_text(page.text(records))
    (directory / NAME).write_text(json.dumps(records.as_json(), indent=1) + "\n")


if __name__ == "__main__":
    # As Ctrl-C does it: workers and databases go with whoever made them.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
