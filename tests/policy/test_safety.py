"""No global generator but in one file; nothing that runs code while it reads data."""

import ast
from collections.abc import Iterator

import pytest

from tests.policy.source import Module, dotted, modules

OWNS_THE_GLOBAL_GENERATOR = "trainers/determinism.py"
# What numpy.random and torch offer without touching a global generator.
OWNED = {"default_rng", "Generator", "BitGenerator", "SeedSequence", "PCG64", "PCG64DXSM", "Philox"}
GLOBAL_TORCH = {
    "torch.manual_seed",
    "torch.seed",
    "torch.set_rng_state",
    "torch.random.manual_seed",
    "torch.random.seed",
    "torch.random.set_rng_state",
    "torch.cuda.manual_seed",
    "torch.cuda.manual_seed_all",
    "torch.cuda.set_rng_state",
    "torch.cuda.set_rng_state_all",
}
UNSAFE_IMPORTS = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib", "yaml", "jsonpickle"}
UNSAFE_CALLS = {"eval", "exec", "os.system", "numpy.fromregex"}


def _keyword(call: ast.Call, name: str) -> object:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value.value if isinstance(keyword.value, ast.Constant) else "computed"
    return None


def global_generators(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines that read or seed a generator nobody owns."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "random" for alias in node.names):
            yield node.lineno, "import random"
        elif isinstance(node, ast.ImportFrom) and node.module == "random":
            yield node.lineno, "from random import"
        elif isinstance(node, ast.ImportFrom) and node.module == "numpy.random":
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name not in OWNED)
        elif isinstance(node, ast.Attribute):
            name = dotted(node)
            if name in GLOBAL_TORCH:
                yield node.lineno, name
            if name.startswith(("np.random.", "numpy.random.")) and name.split(".")[2] not in OWNED:
                yield node.lineno, name


def unsafe_reads(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines that could run code hidden in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, a.name) for a in node.names if a.name.split(".")[0] in UNSAFE_IMPORTS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNSAFE_IMPORTS:
            yield node.lineno, str(node.module)
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            if name == "torch.load" and _keyword(node, "weights_only") is not True:
                yield node.lineno, "torch.load without weights_only=True"
            elif name in ("np.load", "numpy.load") and _keyword(node, "allow_pickle") not in (None, False):
                yield node.lineno, "numpy.load with allow_pickle"
            elif name.endswith("YAML") and _keyword(node, "typ") != "safe":
                yield node.lineno, "YAML without typ='safe'"
            elif name in UNSAFE_CALLS:
                yield node.lineno, name


def _in(module: Module, found: Iterator[tuple[int, str]]) -> list[str]:
    return [f"{module.path}:{line} {what}" for line, what in found]


def test_no_global_generator_but_in_one_file() -> None:
    wrong = [
        line
        for module in modules()
        if module.path != OWNS_THE_GLOBAL_GENERATOR
        for line in _in(module, global_generators(module.tree))
    ]
    assert wrong == []


def test_nothing_unsafe_is_read() -> None:
    assert [line for module in modules() for line in _in(module, unsafe_reads(module.tree))] == []


@pytest.mark.parametrize(
    "line",
    [
        "import random",
        "from random import choice",
        "np.random.rand(3)",
        "numpy.random.seed(0)",
        "from numpy.random import rand",
        "torch.manual_seed(1)",
        "torch.cuda.manual_seed_all(1)",
    ],
)
def test_the_generator_rule_bites(line: str) -> None:
    assert len(list(global_generators(ast.parse(line)))) == 1


@pytest.mark.parametrize("line", ["np.random.default_rng(0)", "from numpy.random import Generator", "torch.rand(3)"])
def test_the_generator_rule_lets_owned_generators_pass(line: str) -> None:
    assert list(global_generators(ast.parse(line))) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from yaml import safe_load",
        "torch.load('x')",
        "torch.load('x', weights_only=False)",
        "torch.load('x', weights_only=flag)",
        "np.load('x', allow_pickle=True)",
        "YAML()",
        "ruamel.yaml.YAML(typ='unsafe')",
        "eval(text)",
    ],
)
def test_the_reading_rule_bites(line: str) -> None:
    assert len(list(unsafe_reads(ast.parse(line)))) == 1


@pytest.mark.parametrize(
    "line", ["torch.load('x', weights_only=True)", "np.load('x')", "model.eval()", "YAML(typ='safe')"]
)
def test_the_reading_rule_lets_safe_reads_pass(line: str) -> None:
    assert list(unsafe_reads(ast.parse(line))) == []
