"""Each row of docs/faults.md names its tests: they exist and say whose they are, and no row is left out."""

import ast
import re

import pytest

from soak.faults import ALL as FAULTS
from tests.architecture.source import ROOT, tree_of
from tests.process import test_fault_rows

PAGE = ROOT / "docs" / "faults.md"
#: F10 and F17 are about networks, and from F30 on two are about what is lost.
NUMBERS = (*range(1, 10), *range(11, 17), *range(18, 30), 31, 37)
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
HEAD = re.compile(r"\| (F\d+) \|")
#: Stands for the test that asks the rows of the soak in short.
SHORT = "`rows`"
CELLS = {
    match[1]: line.strip("|").split("|")
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if (match := HEAD.match(line))
}


def test_no_row_is_left_out():
    assert list(CELLS) == [f"F{number}" for number in NUMBERS]


@pytest.mark.parametrize("row", CELLS)
def test_a_row_names_tests_that_name_it(row):
    named = TEST.findall(CELLS[row][3])

    assert named or SHORT in CELLS[row][3]
    for file, _ in named:
        docstring = ast.get_docstring(tree_of(ROOT / "tests" / file)) or ""
        assert re.search(rf"\b{row}\b", docstring), f"{file} does not say {row}"


@pytest.mark.parametrize(("file", "function"), TEST.findall(PAGE.read_text(encoding="utf-8")))
def test_what_is_named_exists(file, function):
    body = tree_of(ROOT / "tests" / file).body

    assert function in {node.name for node in body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", CELLS)
def test_the_short_form_is_a_test_where_a_row_says_so(row):
    asked = {name.split()[0] for _, name in test_fault_rows.ALL_ROWS}

    assert (row in asked) == (SHORT in CELLS[row][3])


def test_every_row_of_the_soak_is_there_with_its_size():
    dealt = {fault.row.split()[0] for fault in FAULTS}
    # The model's steps are asked for by a variable.
    sized = {row for row, cells in CELLS.items() if cells[5].strip() != "–"} - {"F37"}

    assert dealt == sized
