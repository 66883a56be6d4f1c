import ast
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

import deepspace
from tests.policy.source import ROOT


def test_every_name_is_there_and_is_what_it_is_at_home() -> None:
    for name in deepspace.__all__:
        assert getattr(deepspace, name).__name__ == name or name == "Hole"


def test_the_type_checker_sees_the_same_names() -> None:
    tree = ast.parse(Path(deepspace.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == deepspace._HOME


def test_an_unknown_name_is_refused_with_the_known() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Serch'; it has .*Search"):
        _ = deepspace.Serch


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys, deepspace; print([n for n in ('torch', 'numpy', 'pydantic', 'cluster') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_strict_type_checker_may_import_every_name_from_here() -> None:
    folder = Path(deepspace.__file__).parent
    (block,) = [node for node in ast.parse(Path(deepspace.__file__).read_text()).body if isinstance(node, ast.If)]
    names = [alias for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    # Only `X as X` re-exports a name from a typed package.
    assert [alias.name for alias in names if alias.asname != alias.name] == []
    assert (folder / "py.typed").is_file()


def test_every_typed_package_is_distributed_with_its_mark() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    patterns = tools["setuptools"]["packages"]["find"]["include"]
    typed = {file.parent.name for file in ROOT.glob("*/py.typed")}
    assert typed == {"deepspace", "search_spaces", "controllers", "trainers", "cluster"}
    assert [name for name in typed if not any(fnmatch(name, pattern) for pattern in patterns)] == []
    assert "py-modules" not in tools["setuptools"]
    assert tools["setuptools"]["package-data"] == {"*": ["py.typed"]}
