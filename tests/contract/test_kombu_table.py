"""That the tables in `test_kombu_*.py` name each of kombu's 30 behaviours once, and tests that are there."""

import re
from pathlib import Path

ROW = re.compile(r"^\| (\d+) +\| \w+\.\w+ +\| (\w+) \|$", re.MULTILINE)


def test_thirty_behaviors_are_restated_by_tests_that_exist():
    numbers = []
    for path in Path(__file__).parent.glob("test_kombu_*.py"):
        text = path.read_text(encoding="utf-8")
        for number, test in ROW.findall(text):
            assert f"def test_{test}(" in text
            numbers.append(int(number))

    assert sorted(numbers) == list(range(1, 31))
