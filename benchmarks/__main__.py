"""`make bench`: measure, print the tables, and after a whole run write the report that the README shows."""

import json
import signal
import sys
from pathlib import Path

from benchmarks.options import Options, parse
from benchmarks.records import Records
from benchmarks.report import chart, page
from benchmarks.run import run


def main(words: list[str]) -> int:
    """The exit code: 1 when any measurement failed."""
    options = parse(words)
    records = _records(options)
    text = page.text(records)
    print(f"\n{text}")
    if options.json is not None:
        options.json.write_text(_json(records))
    if options.write is not None:
        _write(options.write, records, text)
    return 1 if records.failures else 0


def _records(options: Options) -> Records:
    if options.read is not None:
        return Records.from_json(json.loads(options.read.read_text()))
    return run(options.plan)


def _write(directory: Path, records: Records, text: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "benchmark.md").write_text(text)
    (directory / "benchmark.svg").write_text(chart.svg(records))
    (directory / "benchmark.json").write_text(_json(records))
    print(f"Written: {directory}/benchmark.md, .svg and .json")


def _json(records: Records) -> str:
    return json.dumps(records.as_json(), indent=1) + "\n"


if __name__ == "__main__":
    # As Ctrl-C does it: workers and databases go with whoever made them.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
