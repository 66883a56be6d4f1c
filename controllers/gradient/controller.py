"""DARTS and GDAS: the logits of a supernet learn by gradients, between the steps of its weights."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from controllers.supernet import SupernetConfig, SupernetSearch
from search_spaces.relax import relaxable

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class GradientConfig(SupernetConfig):
    """What DARTS and GDAS have in common: Adam over the logits, and a watch over them.

    Args:
        learning_rate: Of Adam.
        beta1: Of Adam.
        beta2: Of Adam.
        weight_decay: Of Adam.
        skip_limit: Share of skips among the decoded operations of the normal cell from which on the search counts as
            collapsed.
        stop_when_collapsed: Whether the supernet's trial then ends.

    Paper: Liu et al., 2019, arXiv 1806.09055, section 3.1.1. The watch over skips: Liang et al., 2019, arXiv 1909.06035
        (DARTS+), section 3.3. Deviation: there two skips in a cell of eight operations are the limit; here it is half.
    """

    learning_rate: Positive = 3e-4
    beta1: Fraction = 0.5
    beta2: Fraction = 0.999
    weight_decay: Annotated[float, Field(ge=0)] = 1e-3
    skip_limit: Annotated[float, Field(gt=0, le=1)] = 0.5
    stop_when_collapsed: bool = False


class DartsConfig(GradientConfig):
    """Learns the logits by the softmax mixture of all operations.

    Args:
        order: 1: the gradient of the validation loss with the weights as they are; 2: with the weights one step
            ahead, a step of SGD with momentum whatever the optimizer of the weights.
    """

    kind: Literal["darts"] = "darts"
    order: Literal[1, 2] = 1

    def updater(self, template: Any) -> Any:
        """Return what learns inside one trial."""
        from controllers.gradient.updater import DartsUpdater

        return DartsUpdater(self, relaxable(template)[1])


class GdasConfig(GradientConfig):
    """Learns the logits by sampled networks: one operation an edge, differentiable by the Gumbel softmax.

    Args:
        start_temperature: Of the softmax at the start of training.
        end_temperature: At its end; between them it falls linearly.

    Paper: Dong & Yang, 2019, arXiv 1910.04465, section 3.2 and 4.1 (temperature from 10 to 0.1).
    """

    kind: Literal["gdas"] = "gdas"
    start_temperature: Positive = 10.0
    end_temperature: Positive = 0.1

    def updater(self, template: Any) -> Any:
        """Return what learns inside one trial."""
        from controllers.gradient.updater import GdasUpdater

        return GdasUpdater(self, relaxable(template)[1])


class Darts(SupernetSearch[DartsConfig]):
    """Hands out what DARTS finds.

    Paper: Liu et al., 2019, arXiv 1806.09055.
    """

    config_type = DartsConfig


class Gdas(SupernetSearch[GdasConfig]):
    """Hands out what GDAS finds.

    Paper: Dong & Yang, 2019, arXiv 1910.04465.
    """

    config_type = GdasConfig
