"""The embedded data set: scans of handwritten digits that come with scikit-learn, no download."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainers.data.base import DataError, ImageSet, Share
from trainers.data.labelled import ClassificationData


class Digits(ClassificationData):
    """1,797 scans of 8x8 pixels, 10 classes.

    Paper: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998.
    """

    kind: Literal["digits"] = "digits"
    val: Share = 0.15
    test: Share = 0.15

    def load(self) -> ImageSet:
        """Reads the scans, scaled from 0..16 to 0..255."""
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise DataError("digits need scikit-learn", "not installed", "pip install scikit-learn") from error
        scans, labels = load_digits(return_X_y=True)
        images = np.rint(scans.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
        classes = tuple(str(digit) for digit in range(10))
        return self.image_set((images, labels.astype(np.int64)), None, classes, "digits")
