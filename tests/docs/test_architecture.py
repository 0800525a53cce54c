"""docs/architecture.md agrees with the code: its picture with the imports, its names too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import qrag_tasks

PACKAGE = Path(qrag_tasks.__file__).parent
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURE = PAGE.partition("```mermaid\n")[2].partition("```")[0]
Edges = set[tuple[str, str]]


def room(module: str) -> str:
    """The box of the picture that a module is in: its folder, or that of the loose modules."""
    first = module.split(".")[1] if "." in module else ""
    return boxes().get(first, first)


def boxes() -> dict[str, str]:
    """Loose module -> the box that holds it, as the picture's labels say."""
    labels = re.findall(r"^ *(\w+)\[(.+)\]$", PICTURE, re.MULTILINE)
    return {module: box for box, label in labels for module in re.findall(r"(\w+)\.py", label)}


def imported(path: Path) -> Iterator[str]:
    """What a module imports of the package, also within functions, but not for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and getattr(branch.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if id(node) in for_types or not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        if node.module == "qrag_tasks":
            yield from (f"qrag_tasks.{alias.name}" for alias in node.names)
        elif node.module.startswith("qrag_tasks."):
            yield node.module


def imports() -> Edges:
    edges = set()
    for path in PACKAGE.rglob("*.py"):
        inside = path.relative_to(PACKAGE)
        if inside.name == "__init__.py" and len(inside.parts) == 1:
            continue  # hands public names on
        if inside.parts[0] == "plugin_templates":
            continue  # which only a wheel has: packages of others
        here = room(f"qrag_tasks.{inside.parts[0].removesuffix('.py')}")
        edges |= {(here, there) for there in map(room, imported(path)) if there != here}
    return edges


def reached(start: str, edges: Edges) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        here = waiting.pop()
        new = {b for a, b in edges if a == here} - found
        found |= new
        waiting += new
    return found


def without_detours(edges: Edges) -> Edges:
    """Leave out what follows from other arrows."""
    return {
        (a, b)
        for a, b in edges
        if not any(b in reached(c, edges) for x, c in edges if x == a and c != b)
    }


def test_no_folder_imports_its_importers() -> None:
    edges = imports()
    assert [box for box, _ in edges if box in reached(box, edges)] == []


def test_the_picture_is_what_is_imported() -> None:
    drawn = set(re.findall(r"^ *(\w+) --> (\w+)$", PICTURE, re.MULTILINE))
    assert drawn == without_detours(imports())


def test_the_picture_has_every_folder_and_module() -> None:
    drawn = set(re.findall(r"^ *(\w+)\[", PICTURE, re.MULTILINE))
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders - {"task_yamls"} <= drawn
    loose = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert loose == set(boxes())


@pytest.mark.parametrize("name", re.findall(r"`(\w[\w.]+:\w[\w.]*)`", PAGE))
def test_the_names_of_the_page_are_there(name: str) -> None:
    module, _, inside = name.partition(":")
    if module == "harness.model":
        pytest.importorskip("torch", reason="the hf extra is not installed")
    place = import_module(f"qrag_tasks.{module}")
    for part in inside.split("."):
        place = getattr(place, part)
    assert callable(place)
