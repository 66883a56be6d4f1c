"""A small search file."""

from pathlib import Path

SEARCH = """\
name: small
task: {kind: classification, data: {kind: digits}}
space:
  architecture: {preset: chain, layers: 2, kernels: [1, 3], filters: [4, 8]}
  recipe:
    optimizer: {kind: sgd, lr: {categorical: [0.05, 0.1]}}
    mix: {categorical: [null, {kind: mixup, alpha: 0.2}]}
controller: {kind: random}
budget: {trials: 3, epochs: 1}
objectives: [{metric: val/accuracy, mode: max}]
resources: {concurrency: 1}
"""


def write_search(folder: Path, text: str = SEARCH, name: str = "search.yaml") -> Path:
    """Writes a search file and returns its path."""
    file = folder / name
    file.write_text(text)
    return file
