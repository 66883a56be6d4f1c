"""Specs that the tests of the core share: a small world of its own."""

from typing import Annotated, Literal

from pydantic import Field

from search_spaces.domains import Categorical, First, Float, Subset
from search_spaces.spec import Hole, Spec, hole


class Engine(Spec):
    """A base with two kinds."""


class Diesel(Engine):
    """One kind."""

    kind: Literal["diesel"] = "diesel"
    rate: Hole[Annotated[float, Field(gt=0, le=10)]] = 0.1
    cylinders: int = Field(4, ge=1)


class Electric(Engine):
    """The other kind."""

    kind: Literal["electric"] = "electric"
    volts: Hole[int] = 400


class Wagon(Spec):
    """An item of a tuple, which may refer to earlier ones."""

    seats: Hole[int] = 24
    behind: Hole[tuple[int, ...]] = ()


class Train(Spec):
    """A spec with all sorts of fields, and a rule that joins two of them."""

    engine: Hole[Engine] = Diesel()
    bell: Hole[bool | None] = None
    wagons: Hole[tuple[Wagon, ...]] = ()

    def check(self) -> None:
        """A train of more than three wagons has no bell."""
        if self.bell and len(self.wagons) > 3:
            raise ValueError("a long train has no bell")


def train(wagons: int = 3, low: int = 1, rate: bool = True) -> Train:
    """Returns a template with conditional, variable-depth and back-referring decisions."""
    diesel = Diesel(rate=hole(Float(0.01, 1.0, log=True))) if rate else Diesel()
    wagon = Wagon(seats=hole(Categorical((20, 40))), behind=hole(Subset((), of="wagons")))
    return Train(
        engine=hole(Categorical((diesel, Electric(volts=hole(Categorical((400, 800))))))),
        wagons=hole(First((wagon,) * wagons, low)),
    )
