"""Documents say what is so: their files exist, their search files are accepted, their Python runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.config import load
from cluster.preflight import check_controller
from search_spaces.recipe import (
    ClassificationRecipe,
    DetectionRecipe,
    ImageRecipe,
    LanguageRecipe,
    SegmentationRecipe,
)
from search_spaces.spec import kinds
from search_spaces.template import presets
from tests.policy.source import ROOT, modules
from trainers.data.base import Data
from trainers.tasks.base import Task

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
NAMED = re.compile(r"`((?:search_spaces|controllers|trainers|cluster|tests|benchmarks|examples|docs)/[\w/.-]+\.\w+)`")


def snippets(language: str) -> list[tuple[str, str]]:
    """Document and text of every block of code in a language."""
    return [
        (document.name, text)
        for document in DOCUMENTS
        for text in re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.DOTALL)
    ]


def test_files_and_links_that_documents_name_are_there() -> None:
    missing = []
    for document in DOCUMENTS:
        text = document.read_text()
        missing += [f"{document.name}: {name}" for name in NAMED.findall(text) if not (ROOT / name).is_file()]
        links = re.findall(r"\]\(([^)#:]+)\)", text)
        missing += [f"{document.name}: {link}" for link in links if not (document.parent / link).exists()]
    assert missing == []


def test_every_module_that_names_a_paper_is_in_the_table() -> None:
    table = (ROOT / "docs" / "paper-to-file.md").read_text()
    named = [module.path for module in modules() if re.search(r"^\s*Paper: ", module.file.read_text(), re.MULTILINE)]
    assert [path for path in named if f"`{path}`" not in table] == []
    rows = re.findall(r"^\| (`[^`]+`) ", table, re.MULTILINE)
    assert sorted(rows) == sorted(set(rows))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_is_accepted(file: Path) -> None:
    config = load(file)
    check_controller(config, config.make_space())
    assert config.name == file.stem
    assert config.storage == str(ROOT / "runs")


def test_every_search_file_in_a_document_is_accepted(tmp_path: Path) -> None:
    whole = [(name, text) for name, text in snippets("yaml") if text.startswith("name:")]
    assert whole
    for name, text in whole:
        file = tmp_path / f"{name}.yaml"
        file.write_text(text)
        config = load(file)
        check_controller(config, config.make_space())


def test_every_python_snippet_compiles() -> None:
    for name, text in snippets("python"):
        compile(text, name, "exec")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    ((_, text),) = [found for found in snippets("python") if found[0] == "README.md"]
    (tmp_path / "mine.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "mine.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Found(trial_id='t0000")


def test_the_guide_of_trainers_names_all_that_can_be_chosen() -> None:
    text = (ROOT / "docs" / "trainers.md").read_text()
    named = set(re.findall(r"`(?:\w+: )?([\w-]+)`", text)) | set(re.findall(r"\{preset:\s+([\w-]+)\}", text))
    recipes = (ClassificationRecipe, SegmentationRecipe, DetectionRecipe, LanguageRecipe)
    fields = {field for recipe in recipes for field in recipe.model_fields}
    presets_of_recipes = {name for name in presets() if name.startswith("recipe-")}
    assert sorted((fields | set(kinds(Data)) | set(kinds(Task)) | presets_of_recipes) - named) == []
    order = re.search(r"whatever the\norder in a file: (.*?)\. ", text, re.DOTALL)
    assert order is not None and tuple(re.findall(r"`(\w+)`", order[1])) == ImageRecipe.ORDER
