"""Changes to the colours of images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from search_spaces.domains import Float
from search_spaces.recipe.augment import Augmentation
from search_spaces.spec import Hole

Strength = Annotated[float, Field(ge=0, le=1), Float(0.0, 0.8)]


class Color(Augmentation):
    """Shifts brightness, contrast, saturation and hue.

    The first three are factors uniform in [1 - x, 1 + x], hue is turned by up to `hue` of the whole circle. Images
    of one channel have brightness and contrast alone. Hue ends at 0.5, beyond which turns come again.

    Paper: Howard, Some Improvements on Deep CNN Based Image Classification, 2013, 1312.5402, section 2.
    """

    kind: Literal["color"] = "color"
    brightness: Hole[Strength] = 0.4
    contrast: Hole[Strength] = 0.4
    saturation: Hole[Strength] = 0.4
    hue: Hole[Annotated[float, Field(ge=0, le=0.5), Float(0.0, 0.5)]] = 0.4


class PcaColor(Augmentation):
    """Adds to every pixel of an image the same sum of the principal components of colour, a normal draw each.

    A draw has the standard deviation `sigma` times the component's own (AlexNet multiplies by the variance of
    unscaled pixels).

    Paper: Krizhevsky et al., ImageNet Classification with Deep CNNs, 2012, section 4.1.
    """

    kind: Literal["pca_color"] = "pca_color"
    sigma: Hole[Annotated[float, Field(ge=0), Float(0.0, 0.5)]] = 0.1
