"""Size limits, mirrored tests, and a project that speaks of itself alone."""

import ast
from pathlib import Path

import pytest

from tests.policy.source import PACKAGES, ROOT, modules

FILE_LINES = 400
FUNCTION_LINES = 60
# Words of places and papers that exist where the project is written, not where it is used.
FOREIGN = ("../shared", "/work/", "/root/", "design.md", "users.md", "papers.md", "style.md", "catalogue.md")
MAY_NAME_SHARED = ("tests", "benchmarks")
TEXT = (".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".cfg", "")
SKIPPED = (".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", "runs", "build", "dist")


def _own_texts() -> list[Path]:
    files = [file for file in ROOT.rglob("*") if file.is_file() and file.suffix in TEXT]
    return [file for file in files if not _skipped(file.relative_to(ROOT))]


def _skipped(path: Path) -> bool:
    return path.parts[0] in SKIPPED or any(part.endswith(".egg-info") or part == "__pycache__" for part in path.parts)


def test_no_file_is_long() -> None:
    sources = [*modules(), *modules("tests"), *modules("benchmarks")]
    assert {module.path: module.lines for module in sources if module.lines > FILE_LINES} == {}


def test_no_function_is_long() -> None:
    long = {}
    for module in [*modules(), *modules("tests"), *modules("benchmarks")]:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                if length > FUNCTION_LINES:
                    long[f"{module.path}:{node.name}"] = length
    assert long == {}


def test_each_module_says_what_it_is() -> None:
    assert [module.path for module in modules() if not ast.get_docstring(module.tree)] == []


def test_each_module_has_its_test() -> None:
    missing = []
    for module in modules():
        path = Path(module.path)
        if path.name in ("__init__.py", "__main__.py"):
            continue
        if not (ROOT / "tests" / path.parent / f"test_{path.name}").is_file():
            missing.append(module.path)
    assert missing == []


@pytest.mark.parametrize("package", PACKAGES)
def test_each_test_has_its_module(package: str) -> None:
    tests = (ROOT / "tests" / package).rglob("test_*.py")
    orphans = [
        str(test.relative_to(ROOT))
        for test in tests
        if not (ROOT / test.relative_to(ROOT / "tests").parent / test.name.removeprefix("test_")).is_file()
    ]
    assert orphans == []


def test_each_folder_of_tests_is_a_package() -> None:
    folders = {file.parent for file in (ROOT / "tests").rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_project_speaks_of_itself_alone() -> None:
    found = []
    for file in _own_texts():
        path = file.relative_to(ROOT)
        words = [word for word in FOREIGN if not (path.parts[0] in MAY_NAME_SHARED and word == "../shared")]
        if path == Path("tests/policy/test_layout.py"):
            continue
        text = file.read_text(errors="replace")
        found += [f"{path}: {word}" for word in words if word in text]
    assert found == []
