"""The page of a package, which is its docstring, names every module of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import iotsim

ROOT = Path(iotsim.__file__).parent
BY_NAME = {"cli", "generate", "wire", "documents"}
"""Those of which each module is one command, one kind of node, one protocol, one document."""
PACKAGES = [
    path
    for path in sorted(ROOT.rglob("__init__.py"))
    if path.parent != ROOT and path.parent.name not in BY_NAME and "protocols" not in path.parts
]


@pytest.mark.parametrize("page", PACKAGES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_each_module_is_on_the_page_of_its_package(page: Path) -> None:
    text = ast.get_docstring(ast.parse(page.read_text())) or ""
    modules = {path.stem for path in page.parent.glob("*.py")} - {"__init__", "__main__"}
    assert modules - set(re.findall(r"\w+", text)) == set()


def test_there_are_packages() -> None:
    assert len(PACKAGES) > 15
