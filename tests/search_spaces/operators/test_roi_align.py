"""RoIAlign against the loop that defines it, and on maps whose answer is known."""

import math

import pytest
import torch

from search_spaces.operators import roi_align as module
from search_spaces.operators.roi_align import (
    box_levels,
    plain_ps_roi_align,
    plain_roi_align,
    ps_roi_align,
    roi_align,
)


def _at(plane: torch.Tensor, y: float, x: float) -> float:
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    i, j = math.floor(y), math.floor(x)
    below, right = min(i + 1, height - 1), min(j + 1, width - 1)
    a, b = y - i, x - j
    upper = plane[i, j] * (1 - b) + plane[i, right] * b
    return float(upper * (1 - a) + (plane[below, j] * (1 - b) + plane[below, right] * b) * a)


def _loop(plane: torch.Tensor, box: torch.Tensor, stride: float, size: int, sampling: int) -> torch.Tensor:
    x0, y0, x1, y1 = (box / stride).tolist()
    out = torch.zeros(size, size)
    points = [(k + 0.5) / sampling for k in range(sampling)]
    for i in range(size):
        for j in range(size):
            ys = [y0 + (i + p) * (y1 - y0) / size - 0.5 for p in points]
            xs = [x0 + (j + p) * (x1 - x0) / size - 0.5 for p in points]
            out[i, j] = sum(_at(plane, y, x) for y in ys for x in xs) / sampling**2
    return out


@pytest.mark.parametrize("sampling", [1, 2, 3])
def test_equals_the_loop_inside_across_and_outside_of_the_map(sampling):
    rng = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 3, 7, 9, generator=rng)
    boxes = torch.tensor([[3.0, 5, 22, 17], [-9, -7, 11, 40], [30, 20, 50, 60], [6, 6, 6, 6]])
    boxes = torch.stack([boxes, boxes.flip(0)])
    found = plain_roi_align((maps,), boxes, (4,), 3, sampling)
    assert found.shape == (2, 4, 3, 3, 3)
    for n in range(2):
        for p in range(4):
            for c in range(3):
                assert torch.allclose(found[n, p, c], _loop(maps[n, c], boxes[n, p], 4, 3, sampling), atol=1e-5)


def test_d09_a_constant_map_stays_constant_and_a_ramp_is_read_at_the_centres_of_the_cells():
    x = torch.arange(16.0).expand(16, -1)
    maps = torch.stack([torch.full((16, 16), 2.5), x, x.T])[None]
    found = roi_align((maps,), torch.tensor([[[8.0, 16, 36, 44]]]), (4,), 7, 2)[0, 0]
    assert torch.allclose(found[0], torch.full((7, 7), 2.5))
    columns = (8 + 4 * (torch.arange(7) + 0.5)) / 4 - 0.5  # the value of a pixel stands at its middle
    assert torch.allclose(found[1], columns.expand(7, -1))
    assert torch.allclose(found[2], (columns + 2)[:, None].expand(-1, 7))


def test_each_box_comes_from_the_level_that_suits_its_size():
    sides = torch.tensor([4.0, 111, 112, 223, 224, 447, 448, 9999])
    boxes = torch.stack([torch.zeros(8), torch.zeros(8), sides, sides], dim=1)
    # A box of 224 pixels belongs to stride 16.
    assert box_levels(boxes, (4, 8, 16, 32)).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    levels = tuple(torch.full((1, 2, 512 // s, 512 // s), float(s)) for s in (4, 8, 16, 32))
    found = roi_align(levels, boxes[None, :7] + 20, (4, 8, 16, 32), 2, 1)
    assert found[0, :, 0, 0, 0].tolist() == [4, 4, 8, 8, 16, 16, 32]


def test_gradients_reach_the_pixels_and_not_the_boxes():
    maps = [torch.rand(2, 3, 6, 6, dtype=torch.double, requires_grad=True) for _ in range(2)]
    boxes = torch.tensor([[[1.0, 2, 15, 19], [0, 0, 150, 150]]]).expand(2, -1, -1).clone().requires_grad_()
    found = roi_align(maps, boxes, (4, 8), 2, 2)
    found.sum().backward()
    assert boxes.grad is None
    # Each cell inside the map hands out a weight of one.
    assert maps[0].grad.sum().item() == pytest.approx(2 * 3 * 4, abs=1e-4)


def test_half_precision_maps_are_interpolated_in_float32():
    maps = torch.arange(320.0).expand(1, 1, 2, -1)
    box = torch.tensor([[[1204.0, 0, 1208, 4]]])
    assert roi_align((maps,), box, (4,), 1, 1).item() == 301
    assert roi_align((maps.bfloat16(),), box, (4,), 1, 1).dtype == torch.bfloat16


def test_a_compiled_operator_is_used_where_there_is_one(monkeypatch):
    calls = []

    def stand_in(x, rois, size, scale, sampling, aligned):
        calls.append((len(rois), scale, aligned))
        images = rois[:, 0].long()
        return plain_roi_align((x[images],), rois[:, None, 1:], (round(1 / scale),), size, sampling)[:, 0]

    monkeypatch.setattr(module, "compiled", lambda: type("Ops", (), {"roi_align": staticmethod(stand_in)}))
    rng = torch.Generator().manual_seed(0)
    maps = [torch.rand(2, 3, 64 // s, 64 // s, generator=rng) for s in (2, 4)]
    boxes = torch.tensor([[[1.0, 2, 30, 40], [0, 0, 60, 62]], [[5, 5, 63, 63], [1, 1, 9, 9]]])
    assert torch.allclose(roi_align(maps, boxes, (2, 4), 3, 2), plain_roi_align(maps, boxes, (2, 4), 3, 2))
    assert calls == [(2, 0.5, True), (2, 0.25, True)]


def _sensitive_loop(maps: torch.Tensor, box: torch.Tensor, stride: float, size: int, sampling: int) -> torch.Tensor:
    """Cell (i, j) of each channel reads the map of its own."""
    channels = maps.shape[0] // size**2
    out = torch.zeros(channels, size, size)
    for c in range(channels):
        for i in range(size):
            for j in range(size):
                out[c, i, j] = _loop(maps[(c * size + i) * size + j], box, stride, size, sampling)[i, j]
    return out


@pytest.mark.parametrize("sampling", [1, 2])
def test_d11_position_sensitive_equals_the_loop(sampling):
    rng = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 2 * 9, 7, 9, generator=rng)
    boxes = torch.tensor([[3.0, 5, 22, 17], [-9, -7, 11, 40], [6, 6, 6, 6]])
    boxes = torch.stack([boxes, boxes.flip(0)])
    found = plain_ps_roi_align((maps,), boxes, (4,), 3, sampling)
    assert found.shape == (2, 3, 2, 3, 3)
    for n in range(2):
        for p in range(3):
            assert torch.allclose(found[n, p], _sensitive_loop(maps[n], boxes[n, p], 4, 3, sampling), atol=1e-5)


def test_a20_a_cell_returns_what_its_own_map_holds():
    values = torch.arange(8.0)
    maps = values.view(1, 8, 1, 1).expand(1, 8, 16, 16)
    found = ps_roi_align((maps,), torch.tensor([[[8.0, 16, 36, 44]]]), (4,), 2)
    # 8 maps and 2x2 cells: 2 channels.
    assert found.shape == (1, 1, 2, 2, 2)
    assert torch.allclose(found[0, 0], values.view(2, 2, 2))


def test_d11_a_compiled_operator_is_used_where_there_is_one(monkeypatch):
    def stand_in(x, rois, size, scale, sampling):
        images = rois[:, 0].long()
        return plain_ps_roi_align((x[images],), rois[:, None, 1:], (round(1 / scale),), size, sampling)[:, 0]

    monkeypatch.setattr(module, "compiled", lambda: type("Ops", (), {"ps_roi_align": staticmethod(stand_in)}))
    rng = torch.Generator().manual_seed(0)
    maps = [torch.rand(2, 18, 64 // s, 64 // s, generator=rng) for s in (2, 4)]
    boxes = torch.tensor([[[1.0, 2, 30, 40], [0, 0, 60, 62]], [[5, 5, 63, 63], [1, 1, 9, 9]]])
    assert torch.allclose(ps_roi_align(maps, boxes, (2, 4), 3, 2), plain_ps_roi_align(maps, boxes, (2, 4), 3, 2))


def test_d10_cells_that_do_not_move_are_those_of_roi_align():
    rng = torch.Generator().manual_seed(0)
    maps = [torch.rand(2, 3, 64 // s, 64 // s, generator=rng) for s in (2, 4)]
    boxes = torch.tensor([[[1.0, 2, 30, 40], [0, 0, 60, 62]], [[5, 5, 63, 63], [1, 1, 9, 9]]])
    still = plain_roi_align(maps, boxes, (2, 4), 3, 2, torch.zeros(2, 2, 3, 3, 2))
    assert torch.equal(still, plain_roi_align(maps, boxes, (2, 4), 3, 2))


def test_d10_a_moved_cell_reads_what_lies_there_and_the_move_learns():
    x = torch.arange(32.0).expand(32, -1)
    maps = torch.stack([x, x.T])[None]
    offsets = torch.zeros(1, 1, 2, 2, 2)
    offsets[0, 0, 0, 1] = torch.tensor([8.0, -4.0])  # pixels of the image: two columns on, one row back
    offsets.requires_grad_()
    box = torch.tensor([[[32.0, 32, 64, 64]]])
    plain, moved = (plain_roi_align((maps,), box, (4,), 2, 2, o)[0, 0] for o in (None, offsets))
    change = torch.zeros(2, 2, 2)
    change[:, 0, 1] = torch.tensor([2.0, -1.0])
    assert torch.allclose(moved - plain, change, atol=1e-5)
    moved[0].sum().backward()
    # A pixel of the image is a quarter of a column.
    assert torch.allclose(offsets.grad[0, 0, ..., 0], torch.full((2, 2), 0.25)) and not offsets.grad[..., 1].any()


def test_d09_the_greatest_point_of_a_cell():
    rng = torch.Generator().manual_seed(0)
    plane, box = torch.rand(1, 1, 9, 9, generator=rng), torch.tensor([[[3.0, 5, 22, 17]]])
    found = plain_roi_align((plane,), box, (4,), 2, 3, reduce="max")[0, 0, 0]
    fine = plain_roi_align((plane,), box, (4,), 6, 1)[0, 0, 0]  # every point a cell of its own
    assert torch.allclose(found, fine.view(2, 3, 2, 3).amax((1, 3)))
    assert (found > plain_roi_align((plane,), box, (4,), 2, 3)[0, 0, 0]).all()
