"""`make soak`: deal the faults, print the tables, and write docs/reliability.md after a whole run."""

import json
import sys
from pathlib import Path

from soak.options import parse
from soak.report import page
from soak.run import run


def main(words: list[str]) -> int:
    """The exit code: 1 when the promise did not hold in a run of Celeriac's."""
    options = parse(words)
    records = run(options)
    text = page.text(records, options.sizes)
    print(f"\n{text}")
    if options.write is not None:
        _write(options.write, text, json.dumps(page.as_json(records), indent=1) + "\n")
    return 1 if records.broken else 0


def _write(directory: Path, text: str, values: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "reliability.md").write_text(text)
    (directory / "reliability.json").write_text(values)
    print(f"Written: {directory}/reliability.md and .json")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
