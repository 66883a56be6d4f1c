"""The project's own source as the policy tests see it: files, module names, syntax trees."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("search_spaces", "controllers", "trainers", "cluster")


@dataclass(frozen=True)
class Import:
    """One import: the dotted name, the line, and whether it runs when the module is imported."""

    name: str
    line: int
    at_import: bool


@dataclass(frozen=True)
class Module:
    """One source file: its path below the root, such as `cluster/cli.py`."""

    path: str

    @property
    def file(self) -> Path:
        return ROOT / self.path

    @property
    def package(self) -> str:
        return self.path.split("/")[0].removesuffix(".py")

    @property
    def lines(self) -> int:
        return len(self.file.read_text().splitlines())

    @property
    def tree(self) -> ast.Module:
        return _parse(self.file)

    def imports(self) -> Iterator[Import]:
        yield from _imports(self.tree, at_import=True)


@cache
def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), filename=str(file))


def _imports(node: ast.AST, at_import: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, at_import)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0 or child.module is not None, f"line {child.lineno}: write the package's full name"
            assert child.level == 0, f"line {child.lineno}: no relative imports"
            for alias in child.names:
                yield Import(f"{child.module}.{alias.name}", child.lineno, at_import)
        elif _type_checking(child):
            continue
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, at_import and not inside)


def _type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def modules(*packages: str) -> list[Module]:
    """The source files of these packages (default: all four and the public face)."""
    found = [
        Module(str(file.relative_to(ROOT)))
        for package in packages or PACKAGES
        for file in sorted((ROOT / package).rglob("*.py"))
    ]
    return found if packages else [*found, Module("deepspace/__init__.py")]


def dotted(node: ast.AST) -> str:
    """`a.b.c` for an attribute chain on a name, else the empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (head := dotted(node.value)):
        return f"{head}.{node.attr}"
    return ""
