"""Claim: our operators in plain torch are many times as fast as straightforward loops over positions and boxes.

Three operators, forward and backward (suppression has no gradient): deformable convolution of 32 channels, 3x3, on a
map of 32x32; RoIAlign of 64 boxes on a pyramid of two maps, 7x7 cells of 2x2 points; non-maximum suppression of 1,000
boxes. The loop does the same arithmetic position by position, or box by box, in torch; where torchvision's compiled
operators can be imported they stand beside. Each side's result is compared before it is timed. The figures are medians
of some rounds in which the sides take turns, and the ratio of each side to ours; peak memory is that of a process of
its own for each side, above what it holds before the call (as Linux tells it).

Bound: ours is at least 5 times as fast as the loop, for each operator.

    python -m benchmarks.operators [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.record import keep
from search_spaces.operators import compiled
from search_spaces.operators.boxes import iou_matrix
from search_spaces.operators.deform_conv import plain_deform_conv2d
from search_spaces.operators.nms import plain_nms
from search_spaces.operators.roi_align import box_levels, plain_roi_align

BOUND = 5.0
STRIDES = (4, 8)
Side = Callable[[], list[Tensor]]


def _bilinear(x: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The values (C,) of a map (C, H, W) at one position, zeros beyond it."""
    top, left = torch.floor(row), torch.floor(column)
    value = x.new_zeros(x.shape[0])
    for i in (0, 1):
        for j in (0, 1):
            r, c = int(top) + i, int(left) + j
            if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]:
                weight = (1 - (row - (top + i)).abs()) * (1 - (column - (left + j)).abs())
                value = value + weight * x[:, r, c]
    return value


def loop_deform_conv(x: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    """A 3x3 deformable convolution of stride 1 and padding 1, position by position."""
    images, _, height, width = x.shape
    rows = []
    for n in range(images):
        for i in range(height):
            for j in range(width):
                taps = []
                for k in range(9):
                    down, right = offset[n, 2 * k, i, j], offset[n, 2 * k + 1, i, j]
                    taps.append(_bilinear(x[n], i - 1 + k // 3 + down, j - 1 + k % 3 + right))
                rows.append(weight.flatten(2).permute(0, 2, 1).flatten(1) @ torch.cat(taps))
    return torch.stack(rows).reshape(images, height, width, -1).permute(0, 3, 1, 2)


def loop_roi_align(maps: list[Tensor], boxes: Tensor, size: int = 7, sampling: int = 2) -> Tensor:
    """RoIAlign, point by point."""
    levels, found = box_levels(boxes, STRIDES), []
    points = size * sampling
    for n in range(boxes.shape[0]):
        for p in range(boxes.shape[1]):
            level = int(levels[n, p])
            left, top, right, bottom = (boxes[n, p] / STRIDES[level]).unbind()
            x, cells = maps[level][n], []
            for i in range(points):
                for j in range(points):
                    row = top + (i + 0.5) * (bottom - top) / points - 0.5
                    column = left + (j + 0.5) * (right - left) / points - 0.5
                    row, column = row.clamp(0, x.shape[1] - 1), column.clamp(0, x.shape[2] - 1)
                    cells.append(_bilinear(x, row, column))
            grid = torch.stack(cells, dim=1).reshape(-1, size, sampling, size, sampling)
            found.append(grid.mean((2, 4)))
    return torch.stack(found).reshape(*boxes.shape[:2], -1, size, size)


def loop_nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Suppression, box by box."""
    kept: list[int] = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        if all(float(iou_matrix(boxes[i : i + 1], boxes[j : j + 1])) <= threshold for j in kept):
            kept.append(i)
    return torch.tensor(kept)


def _with_gradients(call: Callable[..., Tensor], *given: Tensor) -> list[Tensor]:
    leaves = [x.detach().clone().requires_grad_() for x in given]
    out = call(*leaves)
    out.square().sum().backward()
    return [out.detach(), *(torch.zeros_like(x) if x.grad is None else x.grad for x in leaves)]


def _boxes(count: int, side: float, generator: torch.Generator) -> Tensor:
    corner = torch.rand(count, 2, generator=generator) * side * 0.3
    return torch.cat([corner, corner + 8 + torch.rand(count, 2, generator=generator) * side * 0.65], dim=1)


def sides(operator: str) -> dict[str, Side]:
    """Returns what does one operator, by name."""
    g = torch.Generator().manual_seed(0)
    ops = compiled()
    if operator == "deform_conv":
        x, weight = torch.randn(1, 32, 32, 32, generator=g), torch.randn(32, 32, 3, 3, generator=g) / 17
        offset = torch.randn(1, 18, 32, 32, generator=g)
        found: dict[str, Side] = {
            "ours": lambda: _with_gradients(lambda *a: plain_deform_conv2d(*a, padding=(1, 1)), x, offset, weight),
            "loop": lambda: _with_gradients(loop_deform_conv, x, offset, weight),
        }
        if ops is not None:
            found["compiled"] = lambda: _with_gradients(lambda *a: ops.deform_conv2d(*a, padding=1), x, offset, weight)
        return found
    if operator == "roi_align":
        maps = [torch.randn(1, 16, 256 // s, 256 // s, generator=g) for s in STRIDES]
        boxes = _boxes(64, 256, g)[None]
        found = {
            "ours": lambda: _with_gradients(lambda *a: plain_roi_align(a, boxes, STRIDES), *maps),
            "loop": lambda: _with_gradients(lambda *a: loop_roi_align(list(a), boxes), *maps),
        }
        if ops is not None:
            found["compiled"] = lambda: _with_gradients(lambda *a: _compiled_roi_align(ops, a, boxes), *maps)
        return found
    boxes, scores = _boxes(1000, 256, g), torch.rand(1000, generator=g)
    found = {"ours": lambda: [plain_nms(boxes, scores, 0.5)], "loop": lambda: [loop_nms(boxes, scores, 0.5)]}
    if ops is not None:
        found["compiled"] = lambda: [ops.nms(boxes, scores, 0.5)]
    return found


def _compiled_roi_align(ops: Any, maps: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
    levels, out = box_levels(boxes, STRIDES)[0], maps[0].new_zeros(boxes.shape[1], maps[0].shape[1], 7, 7)
    for level, x in enumerate(maps):
        which = (levels == level).nonzero()[:, 0]
        rois = torch.cat([torch.zeros(len(which), 1), boxes[0, which]], dim=1)
        out = out.index_copy(0, which, ops.roi_align(x, rois, 7, 1 / STRIDES[level], 2, aligned=True))
    return out[None]


def _agree(operator: str, found: dict[str, Side]) -> None:
    ours = found["ours"]()
    for name, side in found.items():
        for a, b in zip(ours, side(), strict=True):
            if not torch.allclose(a.float(), b.float(), atol=1e-3, rtol=1e-3):
                raise RuntimeError(f"{operator}: {name} differs from ours by {(a - b).abs().max()}")


def _peak_kibibytes() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def _peak_mebibytes(operator: str, side: str) -> float:
    command = [sys.executable, "-m", "benchmarks.operators", "--peak", operator, side]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def measure(rounds: int) -> dict[str, Any]:
    """Compares, then times all sides in turns."""
    figures: dict[str, Any] = {}
    for operator in ("deform_conv", "roi_align", "nms"):
        found = sides(operator)
        _agree(operator, found)
        seconds: dict[str, list[float]] = {name: [] for name in found}
        for _ in range(rounds):
            for name, side in found.items():
                began = time.perf_counter()
                side()
                seconds[name].append(time.perf_counter() - began)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        figures[operator] = {
            name: {
                "ms": round(1e3 * value, 2),
                "times_ours": round(value / medians["ours"], 3),
                "peak_mib": round(_peak_mebibytes(operator, name), 1),
            }
            for name, value in medians.items()
        }
        for name, row in figures[operator].items():
            print(
                f"{operator:<12} {name:<9} {row['ms']:10.2f} ms  {row['times_ours']:8.2f} times ours  "
                f"{row['peak_mib']:7.1f} MiB",
                flush=True,
            )
    return figures


def main() -> int:
    """Measures, prints, and keeps the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak", nargs=2, metavar=("OPERATOR", "SIDE"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak is not None:
        side = sides(options.peak[0])[options.peak[1]]
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far is that of the imports
        before = _peak_kibibytes()
        side()
        print((_peak_kibibytes() - before) / 1024)
        return 0
    figures = measure(options.rounds)
    holds = all(rows["loop"]["times_ours"] >= BOUND for rows in figures.values())
    keep("operators", {"rounds": options.rounds, "operators": figures, "holds": holds})
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
