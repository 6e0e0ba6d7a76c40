"""Errors are shown as the text that is stored: rebuilding one calls a class that the row names."""

import ast

from tests.architecture.source import modules, name_of, tree_of

#: `AsyncResult` raises the error of its task: that is Celery's promise, and the only place.
HOME = "results/rows.py"
REBUILDING = {"exception_to_python", "meta_from_decoded", "decode_result"}


def test_only_async_result_gets_an_exception_from_a_row():
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in modules()
        if name_of(path) != HOME
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in REBUILDING
    ]

    assert not found
