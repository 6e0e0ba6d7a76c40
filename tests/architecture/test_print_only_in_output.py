"""One file writes to the terminal, so that every command looks alike and can be made quiet."""

import ast

from tests.architecture.source import modules, name_of, tree_of

#: The probe is started without Django, and has a line to say.
PRINTERS = {"cli/output.py", "health/__main__.py"}
STREAMS = {"stdout", "stderr"}


def test_only_the_output_module_prints_or_takes_hold_of_a_stream():
    found = {
        f"{name_of(path)}:{node.lineno}"
        for path in modules()
        if name_of(path) not in PRINTERS
        for node in ast.walk(tree_of(path))
        if _prints(node)
    }

    assert not found, f"only {PRINTERS} print"


def _prints(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id == "print"
    if isinstance(node, ast.Attribute) and node.attr in STREAMS:
        return isinstance(node.value, ast.Name) and node.value.id in {"sys", "self"}
    return False
