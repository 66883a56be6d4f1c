from dataclasses import replace

import numpy as np
import pytest

from search_spaces.spec import SpecError, kinds
from trainers.data.pictures import PADDED, DetectionData, DetectionSet, SegmentationData
from trainers.data.scenes import Scenes
from trainers.data.splits import Part


def test_each_task_has_its_kinds() -> None:
    assert set(kinds(SegmentationData)) == {"scenes", "parquet", "masks"}
    assert set(kinds(DetectionData)) == {"scenes", "parquet", "coco", "voc"}
    with pytest.raises(SpecError, match="unknown kind of segmentationdata; got 'coco'; allowed"):
        SegmentationData.from_data({"kind": "coco", "path": "somewhere"})


def test_parts_share_no_row_and_leave_none_out() -> None:
    data = Scenes(scenes=64, size=16).load_masks()
    rows = np.concatenate([data.rows(part) for part in Part])
    assert sorted(rows.tolist()) == list(range(64))
    assert data.input_shape == (3, 16, 16) and data.skipped == 0


def test_counts_leave_padding_out() -> None:
    data: DetectionSet = Scenes(scenes=64, size=32).load_boxes()
    assert data.counts.tolist() == [int((labels != PADDED).sum()) for labels in data.labels]
    assert 0 < data.counts.min() and data.counts.max() == data.labels.shape[1] == 5


def test_fingerprints_see_every_array() -> None:
    spec = Scenes(scenes=64, size=16)
    masked, boxed = spec.load_masks(), spec.load_boxes()
    assert masked.fingerprint() == spec.load_masks().fingerprint() != boxed.fingerprint()
    changed = masked.masks.copy()
    changed[-1] ^= 1
    assert replace(masked, masks=changed).fingerprint() != masked.fingerprint()
    for name in ("boxes", "labels", "difficult", "crowd", "parts"):
        array = getattr(boxed, name).copy()
        array[3, ...] = array[3, ...] == 0
        assert replace(boxed, **{name: array}).fingerprint() != boxed.fingerprint(), name
