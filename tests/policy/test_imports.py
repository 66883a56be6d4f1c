"""Who imports what: the one table, and the arrows between the packages."""

import subprocess
import sys

import pytest

from tests.policy.source import PACKAGES, ROOT, modules

# Library -> the folders or modules that may import it. What is not listed may be imported by nobody.
TABLE: dict[str, tuple[str, ...]] = {
    "numpy": PACKAGES,
    "torch": PACKAGES,
    # Triangular systems, fits and distances of the predictor.
    "scipy": ("controllers/predictor",),
    "pydantic": PACKAGES,
    "pydantic_core": PACKAGES,
    "typing_extensions": PACKAGES,
    "ray": ("cluster",),
    "mlflow": ("cluster",),
    "typer": ("cluster",),
    "click": ("cluster",),
    "rich": ("cluster",),
    "optuna": ("controllers/adapters", "cluster/report"),
    "nni": ("controllers/adapters", "search_spaces/interop"),
    "matplotlib": ("search_spaces/drawing", "cluster/report"),
    "kornia": ("trainers",),
    "torchmetrics": ("trainers",),
    "pycocotools": ("trainers",),
    "sklearn": ("trainers",),
    "PIL": ("trainers",),
    # Optional: compiled operators, where they happen to be installed.
    "torchvision": ("search_spaces/operators",),
    "pyarrow": ("trainers", "cluster"),
    "safetensors": ("trainers", "cluster"),
    "ruamel": ("search_spaces", "cluster"),
}
# Package -> the packages of ours that it may import, itself apart.
ARROWS: dict[str, tuple[str, ...]] = {
    "search_spaces": (),
    "controllers": ("search_spaces",),
    "trainers": ("search_spaces",),
    "cluster": ("search_spaces", "controllers", "trainers"),
    "deepspace": PACKAGES,
}
ONLY_INSIDE_FUNCTIONS = ("nni", "optuna", "matplotlib", "mlflow")
BLOCKED = ("ray", "mlflow", "nni", "cluster")

_IMPORT_ALL_BLOCKED = """
import importlib, pkgutil, sys
package, blocked = sys.argv[1], set(sys.argv[2].split(","))

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
module = importlib.import_module(package)
count = 1
for info in pkgutil.walk_packages(module.__path__, package + "."):
    importlib.import_module(info.name)
    count += 1
print(count)
"""


def _may(path: str, allowed: tuple[str, ...]) -> bool:
    return any(path.startswith((f"{place}/", f"{place}.py")) for place in allowed)


def test_each_library_is_imported_where_the_table_says() -> None:
    wrong = [
        f"{module.path}:{found.line} imports {found.name}"
        for module in modules()
        for found in module.imports()
        if (library := found.name.split(".")[0]) not in sys.stdlib_module_names
        and library not in ARROWS
        and library != "__future__"
        and not _may(module.path, TABLE.get(library, ()))
    ]
    assert wrong == []


def test_the_arrows_point_one_way() -> None:
    wrong = [
        f"{module.path}:{found.line} imports {found.name}"
        for module in modules()
        for found in module.imports()
        if (target := found.name.split(".")[0]) in ARROWS
        and target != module.package
        and target not in ARROWS[module.package]
    ]
    assert wrong == []


def test_heavy_libraries_are_imported_inside_functions() -> None:
    wrong = [
        f"{module.path}:{found.line} imports {found.name}"
        for module in modules()
        for found in module.imports()
        if found.at_import and found.name.split(".")[0] in ONLY_INSIDE_FUNCTIONS
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ["search_spaces", "controllers", "trainers"])
def test_the_lower_packages_import_without_the_cluster_libraries(package: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL_BLOCKED, package, ",".join(BLOCKED)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(modules(package))
