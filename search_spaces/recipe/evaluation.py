"""How a trained network is asked: predictions of several sizes and of the mirrored image."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from search_spaces.domains import Categorical
from search_spaces.recipe.trick import IMAGE_TASKS, Trick
from search_spaces.spec import Hole

Scale = Annotated[float, Field(gt=0, le=4)]
SCALES: Categorical[Any] = Categorical(
    {
        "one": (1.0,),
        "two": (0.75, 1.0),
        "three": (0.75, 1.0, 1.25),
        "six": (0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
    }
)


class Prediction(Trick):
    """A way to ask a network about images; training stays as it is."""

    tasks: ClassVar[frozenset[str]] = IMAGE_TASKS


class MultiScaleTest(Prediction):
    """Joins what the network says of the image at several sizes and, with `flip`, of its mirror images.

    `scales` are factors on height and width, one to six of them. Images and pixels get the mean of their class
    probabilities; boxes of all views are suppressed together.
    The network runs once for each view, so an evaluation takes that many times as long.

    Paper: Chen et al., Rethinking Atrous Convolution, 2017, 1706.05587, section 4.1 (scales 0.5 to 1.75 and flips).
    """

    kind: Literal["multi_scale_test"] = "multi_scale_test"
    scales: Hole[Annotated[tuple[Scale, ...], Field(min_length=1, max_length=6), SCALES]] = (0.75, 1.0, 1.25)
    flip: Hole[bool] = True
