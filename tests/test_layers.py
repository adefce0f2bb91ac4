"""The floors of the house: imports go down only, no folder of the root is in a ring, and no file is long."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("config", "io"),
    ("audio",),
    ("clips",),
    ("planning",),
    ("store", "labels", "models", "downloads"),
    ("tasks",),
    ("engine",),
    ("pipelines", "learn", "report", "web"),
    ("hubbub",),  # the face, and what is imported from it
    ("jobs",),
)
"""From the ground up. A room imports from floors below; on its own floor only as `NEIGHBOURS` says."""

NEIGHBOURS = {("labels", "store"), ("pipelines", "learn"), ("pipelines", "report"), ("pipelines", "web")}
"""Rooms of one floor, the first of which may import the second."""

LIGHT_FACE = {"__version__"}
"""Names of the face itself that any room may import: they need no room."""

MOST_LINES, MOST_LINES_OF_A_JOB = 400, 120

FILES = sorted([*(ROOT / "lib" / "hubbub").rglob("*.py"), *(ROOT / "jobs").glob("*.py")])
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def name_of(file: Path) -> str:
    """Return the dotted name of a module: ``hubbub.store.rows``, ``hubbub.jobs.label``."""
    if file.is_relative_to(ROOT / "jobs"):
        parts = ("hubbub", "jobs", *file.relative_to(ROOT / "jobs").with_suffix("").parts)
    else:
        parts = file.relative_to(ROOT / "lib").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """Return the room of a module: the folder below `hubbub`; ``hubbub`` for the face."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "hubbub"


@cache
def imports_of(file: Path) -> tuple[tuple[int, str], ...]:
    """Return line and module of everything of hubbub's that a file imports, in functions and for type checks, too."""
    return tuple(_imports(file))


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    package = name_of(file).split(".")[: None if file.name == "__init__.py" else -1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names if alias.name != "hubbub"]  # the face itself imports nothing
        elif isinstance(node, ast.ImportFrom):
            head = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*head, *([node.module] if node.module else [])])
            found = [] if module == "hubbub" and {a.name for a in node.names} <= LIGHT_FACE else [module]
            found += [
                f"{module}.{alias.name}" for alias in node.names if module == "hubbub" or _is_module(module, alias)
            ]
        else:
            continue
        light = {f"hubbub.{name}" for name in LIGHT_FACE}
        yield from ((node.lineno, name) for name in found if name.split(".")[0] == "hubbub" and name not in light)


def _is_module(package: str, alias: ast.alias) -> bool:
    folder = ROOT / "lib" / package.replace(".", "/")
    return (folder / f"{alias.name}.py").is_file() or (folder / alias.name).is_dir()


def may_import(importer: str, imported: str) -> bool:
    """Tell whether one room may import another."""
    if importer == imported or (importer, imported) in NEIGHBOURS:
        return True
    return FLOOR_OF[imported] < FLOOR_OF[importer]


def test_every_room_has_a_floor() -> None:
    assert {room_of(name_of(file)) for file in FILES} == set(FLOOR_OF)


@pytest.mark.parametrize("room", FLOOR_OF)
def test_imports_go_down_only(room: str) -> None:
    upwards = [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in FILES
        if room_of(name_of(file)) == room
        for line, module in imports_of(file)
        if not may_import(room, room_of(module))
    ]
    assert not upwards, "\n".join(upwards)


def test_only_the_engine_imports_dask() -> None:
    """And what runs inside its workers; everybody else is handed an engine."""
    importers = {
        str(file.relative_to(ROOT))
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for name in _modules(node)
        if name.split(".")[0] in ("dask", "distributed") and room_of(name_of(file)) != "engine"
        if not _is_for_types_only(file, node)
    }
    assert importers == set()


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


def _is_for_types_only(file: Path, wanted: ast.AST) -> bool:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            if any(getattr(inner, "lineno", None) == getattr(wanted, "lineno", 0) for inner in ast.walk(node)):
                return True
    return False


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_files_are_short(file: Path) -> None:
    most = MOST_LINES_OF_A_JOB if file.parent == ROOT / "jobs" else MOST_LINES
    lines = file.read_text(encoding="utf-8").count("\n")
    assert lines <= most, f"{file.relative_to(ROOT)} has {lines} lines; part it by subject"


def test_nothing_lies_loose_at_the_root() -> None:
    assert {path.name for path in (ROOT / "lib" / "hubbub").glob("*.py")} == {"__init__.py", "errors.py"}


def test_an_import_upwards_would_be_seen() -> None:
    assert may_import("jobs", "errors")
    assert may_import("labels", "store")
    assert not may_import("store", "labels")
    assert not may_import("audio", "store")
    assert not may_import("engine", "pipelines")
