"""The first line of a source file says what the file is for."""

import ast

from tests.architecture.source import modules, name_of, tree_of


def test_every_module_begins_with_a_docstring():
    silent = [name_of(path) for path in modules() if not ast.get_docstring(tree_of(path))]

    assert not silent
