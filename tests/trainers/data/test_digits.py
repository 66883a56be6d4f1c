import subprocess
import sys

import numpy as np

from trainers.data.base import Data
from trainers.data.digits import Digits
from trainers.data.splits import Part


def test_the_scans_are_whole_and_split() -> None:
    data = Digits().load()
    assert data.images.shape == (1797, 1, 8, 8)
    assert data.images.dtype == np.uint8 and data.images.max() == 255 and data.images.min() == 0
    assert len(np.unique(data.images)) == 17
    assert np.bincount(data.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert [int((data.parts == part).sum()) for part in Part] == [1264, 254, 279]
    assert data.classes == tuple("0123456789")


def test_the_kind_is_known_and_scikit_learn_is_read_late() -> None:
    assert Data.from_data({"kind": "digits", "split_seed": 3}) == Digits(split_seed=3)
    code = "import sys; import trainers.data.digits, trainers.tasks.classification; print('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
