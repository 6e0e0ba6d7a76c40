"""Source files stay small: one idea each."""

from statistics import median

from tests.architecture.source import modules, name_of

MOST_LINES = 250
MEDIAN_LINES = 100


def test_no_source_file_is_longer_than_the_limit():
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}

    too_long = {name: count for name, count in lines.items() if count > MOST_LINES}

    assert not too_long, f"over {MOST_LINES} lines; split by idea: {too_long}"


def test_half_of_the_source_files_are_short():
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in modules()]

    assert median(lines) <= MEDIAN_LINES
