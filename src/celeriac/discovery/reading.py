"""Read a file without running it: does it parse, and does it register a task?"""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Packages whose own `task` is not Celery's: `tasks.py` is also the file of Invoke and Fabric.
_OTHER_TOOLS = frozenset(
    {"airflow", "asyncio", "doit", "fabric", "huey", "invoke", "locust", "luigi", "prefect", "robocorp"}
)
_REGISTERING_CALLS = frozenset({"task", "shared_task", "register_task"})
#: Where Celery's documentation adds periodic tasks; a file may hold nothing else.
_SCHEDULE_SIGNALS = (".on_after_configure.connect", ".on_after_finalize.connect")


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds: an error that stops the start, or whether it registers a task."""

    registers: bool = False
    error: str | None = None


def read(path: str, module: str) -> Content:
    """Parse the file; its code does not run."""
    if not path.endswith(".py"):
        return Content(registers=True)  # Compiled: only an installed app can have one.
    try:
        tree = _parse(Path(path).read_bytes())
    except SyntaxError as error:
        return Content(error=f"line {error.lineno or 1}: {type(error).__name__}: {error.msg}")
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        # ValueError: null bytes before Python 3.12. The other two: nested too deep for the parser.
        return Content(error=f"line 1: {type(error).__name__}: {error}")
    package = module if path.endswith("__init__.py") else None
    return Content(registers=_registers(tree, package))


def _parse(source: bytes) -> ast.Module:
    with warnings.catch_warnings():
        # The import that follows warns of the same; once is enough.
        warnings.simplefilter("ignore")
        return ast.parse(source)


def _registers(tree: ast.Module, package: str | None) -> bool:
    nodes = list(ast.walk(tree))
    imported = dict(pair for node in nodes for pair in _imports(node))
    return any(_registers_here(node, imported, package) for node in nodes)


def _registers_here(node: ast.AST, imported: dict[str, str], package: str | None) -> bool:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return any(_is_task_decorator(_name(use, imported)) for use in node.decorator_list)
        case ast.ClassDef():
            return any(_is_task_class(_name(base, imported)) for base in node.bases)
        case ast.Call():
            return _is_registering_call(_name(node.func, imported))
        case ast.ImportFrom():
            return bool(package) and _is_from_within(node, package or "")
    return False


def _imports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Each name that an import binds, with what it stands for."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (top, top)
    elif isinstance(node, ast.ImportFrom):
        source = "." * node.level + (node.module or "")
        for alias in node.names:
            yield alias.asname or alias.name, f"{source}.{alias.name}"


def _name(node: ast.expr, imported: dict[str, str]) -> str:
    """The dotted name of an expression, its first part as it was imported."""
    if isinstance(node, ast.Call):
        return _name(node.func, imported)
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value, imported)}.{node.attr}"
    return imported.get(node.id, node.id) if isinstance(node, ast.Name) else ""


def _is_task_decorator(name: str) -> bool:
    """`@shared_task`, `@app.task(…)`, a project's own such as `@tenant_task`, and hooks for a schedule."""
    last = name.rpartition(".")[2]
    is_decorator = last == "task" or last.endswith("_task") or name.endswith(_SCHEDULE_SIGNALS)
    return is_decorator and not _is_of_other_tool(name)


def _is_task_class(name: str) -> bool:
    return name.endswith("Task") and not _is_of_other_tool(name)


def _is_registering_call(name: str) -> bool:
    """`shared_task(function)`, `app.register_task(…)`; a bare `task()` may be any function."""
    last = name.rpartition(".")[2]
    is_registering = last in _REGISTERING_CALLS and name != "task"
    return (is_registering or name.endswith(".tasks.register")) and not _is_of_other_tool(name)


def _is_of_other_tool(name: str) -> bool:
    return name.partition(".")[0] in _OTHER_TOOLS


def _is_from_within(node: ast.ImportFrom, package: str) -> bool:
    """Whether `tasks/__init__.py` imports its own modules, which is where its tasks are."""
    return node.level == 1 or (node.module or "").startswith(package + ".")
