"""Claim: a search costs no more than what a user would write instead.

A user's script: Optuna's TPE and a hand-written PyTorch loop in one process, with torch's own threads. Ours: random
search as Ray Tune trials, one thread each, with journal, tables and checkpoints. Both draw 24 candidates of one space
(2 to 6 convolutions of 16, 32 or 64 filters, learning rate), train 8 epochs on the same images, judge each epoch by
the same validation part, and test the winner. Each side runs in a process of its own; the sides take turns.

Bounds: in all, starts and imports included, ours takes at most 1.3 times as long; from the first step of the first
trial to the last trial's end at most 1.0 times. TPE and random draws make different networks, so the multiply-adds of
the trials are printed beside the times.

    python -m benchmarks.versus_optuna [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import keep

TRIALS, EPOCHS, BATCH, SEED = 24, 8, 64, 0
LAYERS, FILTERS, RATES = (2, 6), (16, 32, 64), (0.01, 0.3)
MOMENTUM, DECAY = 0.9, 0.0005

SEARCH = f"""
name: ours
task: {{kind: classification, data: {{kind: digits}}}}
space:
  architecture:
    {{preset: chain, layers: {LAYERS[1]}, grow: true, low: {LAYERS[0]}, skips: false,
     kernels: [3], filters: {list(FILTERS)}}}
  recipe: {{batch_size: {BATCH}, optimizer: {{kind: sgd, lr: {{float: {list(RATES)}, log: true}}}}}}
controller: {{kind: random}}
budget: {{trials: {TRIALS}, epochs: {EPOCHS}}}
objectives: [{{metric: val/accuracy}}]
resources: {{cpus: 1, concurrency: 2}}
tracking: null
"""


def user(folder: Path, seed: int) -> dict[str, Any]:
    """What a user would write: TPE, and a training loop by hand."""
    import numpy as np
    import optuna
    import torch
    from torch import nn
    from torch.nn import functional as F

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with np.load(folder / "digits.npz") as file:
        data = {name: torch.from_numpy(file[name]) for name in file}
    macs: list[int] = []
    best: dict[str, Any] = {"value": -1.0}
    began: list[float] = []

    def network(filters: list[int]) -> nn.Module:
        parts: list[nn.Module] = []
        for before, after in zip([1, *filters], filters, strict=False):
            parts += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(filters[-1], 10))

    def accuracy(model: nn.Module, part: str) -> float:
        model.eval()
        with torch.inference_mode():
            return float((model(data[f"{part}_x"]).argmax(1) == data[f"{part}_y"]).float().mean())

    def objective(trial: optuna.Trial) -> float:
        layers = trial.suggest_int("layers", *LAYERS)
        filters = [trial.suggest_categorical(f"filters{i}", FILTERS) for i in range(layers)]
        rate = trial.suggest_float("lr", *RATES, log=True)
        torch.manual_seed(trial.number)
        model = network(filters)
        macs.append(sum(64 * 9 * a * b for a, b in zip([1, *filters], filters, strict=False)))
        count = len(data["train_x"])
        steps = EPOCHS * (count // BATCH)
        optimizer = torch.optim.SGD(model.parameters(), rate, MOMENTUM, weight_decay=DECAY, nesterov=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        began.append(time.perf_counter())
        value = 0.0
        for epoch in range(EPOCHS):
            model.train()
            order = torch.randperm(count)
            for i in range(count // BATCH):
                rows = order[i * BATCH : (i + 1) * BATCH]
                loss = F.cross_entropy(model(data["train_x"][rows]), data["train_y"][rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            value = accuracy(model, "val")
            trial.report(value, epoch)
        if value > best["value"]:
            best.update(value=value, model=model)
        return value

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=TRIALS)
    training = time.perf_counter() - began[0]
    return {"training": training, "test": accuracy(best["model"], "test"), "macs": statistics.mean(macs)}


def ours(folder: Path, seed: int) -> dict[str, Any]:
    """The same as a search file."""
    from cluster.journal import read
    from cluster.search import Search

    file = folder / "ours.yaml"
    file.write_text(SEARCH)
    search = Search.from_yaml(file, [f"storage={folder}/runs", f"seed={seed}"]).run(progress=False)
    first, last = float("inf"), 0.0
    for record in read(search.run_folder.storage):
        if record.kind == "reported" and record.fields["step"] == 1:
            first = min(first, record.fields["time"] - record.fields["metrics"]["seconds"])
        elif record.kind == "told":
            last = record.fields["time"]
    rows = search.trials
    assert rows.num_rows == TRIALS and set(rows["status"].to_pylist()) == {"COMPLETED"}
    best = search.best
    assert best is not None
    macs = statistics.mean(rows["m:cost/macs"].to_pylist())
    return {"training": last - first, "test": best.metrics["test/accuracy"], "macs": macs}


def write_data(folder: Path) -> None:
    """Writes the images as our task splits and normalises them."""
    import numpy as np

    from trainers.data.digits import Digits
    from trainers.data.splits import Part

    digits = Digits().load()
    arrays = {}
    for part in Part:
        images, labels = digits.part(part)
        name = part.name.lower()
        arrays[f"{name}_x"] = (images.astype(np.float32) - digits.mean[:, None, None]) / digits.std[:, None, None]
        arrays[f"{name}_y"] = labels
    np.savez(folder / "digits.npz", **arrays)


def measure(side: str, folder: Path, seed: int) -> dict[str, Any]:
    """Runs one side in a process of its own, timed from outside."""
    command = [sys.executable, "-m", "benchmarks.versus_optuna", "--side", side, "--folder", str(folder)]
    began = time.perf_counter()
    done = subprocess.run([*command, "--seed", str(seed)], check=True, stdout=subprocess.PIPE, text=True)
    return {"total": time.perf_counter() - began, **json.loads(done.stdout.splitlines()[-1])}


def main() -> int:
    """Measures both sides in turns and prints times and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", choices=["user", "ours"])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    if options.side is not None:
        print(json.dumps((user if options.side == "user" else ours)(options.folder, options.seed)))
        return 0
    found: dict[str, list[dict[str, Any]]] = {"user": [], "ours": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder)
        for repeat in range(options.repeats):
            for side, rows in found.items():
                row = measure(side, folder, options.seed + repeat)
                rows.append(row)
                print(
                    f"{side:<5} seed {options.seed + repeat}: total {row['total']:6.1f} s, "
                    f"training {row['training']:6.1f} s, {row['macs'] / 1e6:.2f} M MACs a trial, "
                    f"test accuracy {row['test']:.4f}",
                    flush=True,
                )
    ratios = {
        part: statistics.median(row[part] for row in found["ours"])
        / statistics.median(row[part] for row in found["user"])
        for part in ("total", "training", "macs")
    }
    print(f"ours / user, medians of {options.repeats}: total {ratios['total']:.2f} (bound 1.3), ", end="")
    print(f"first step to last told {ratios['training']:.2f} (bound 1.0), ", end="")
    print(f"multiply-adds {ratios['macs']:.2f}, training a multiply-add {ratios['training'] / ratios['macs']:.2f}")
    keep("versus_optuna", {"ratios": ratios, "bounds": {"total": 1.3, "training": 1.0}, "runs": found})
    return 0 if ratios["total"] <= 1.3 and ratios["training"] <= 1.0 else 1


if __name__ == "__main__":
    sys.exit(main())
