"""ENAS: a recurrent policy learns which path through shared weights is best, between epochs of those weights.

Paper: Pham et al., 2018, arXiv 1802.03268.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from controllers.supernet import SupernetConfig, SupernetSearch
from search_spaces.candidate import Candidate
from search_spaces.errors import SpecError, join
from search_spaces.share import shareable
from search_spaces.space import Space
from search_spaces.spec import first_hole

Size = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


class EnasConfig(SupernetConfig):
    """The settings of the authors' script for the micro space; that for the macro space has others where it is said.

    Args:
        hidden: Units of the LSTM, which has one layer.
        init_range: Weights start uniform between minus and plus this.
        learning_rate: Of Adam; macro: 0.001.
        steps: Steps of the policy an epoch; macro: 50.
        samples: Architectures a step, each judged on one held-out batch; macro: 20.
        temperature: What logits are divided by; 5 in the paper, with a bound of 2.5.
        tanh: The greatest size of a logit; macro: 1.5. None: no bound.
        op_tanh_reduce: How many times smaller that is for an operation than for an input; macro: 1.
        entropy_weight: What the entropy of a sample, in nats, adds to its reward.
        baseline_decay: Weight of the past in the moving average of rewards.
        skip_target: Probability that skips are drawn towards, where a space has them.
        skip_weight: Weight of the divergence from it in the loss; the macro script's.
        derived: Architectures that are drawn, and judged on one held-out batch, at the end of an epoch; the best of
            the last epoch is what was found.

    Paper: Pham et al., 2018, arXiv 1802.03268, sections 2.2 and 3.2; what it leaves open as in the authors' code.
        Deviation: the authors' code favours separable convolutions at the start by biases, of which the paper does
        not speak; here all operations are alike.
    """

    kind: Literal["enas"] = "enas"
    hidden: Size = 64
    init_range: Positive = 0.1
    learning_rate: Positive = 0.0035
    steps: Size = 30
    samples: Size = 10
    temperature: Positive = 1.0
    tanh: Positive | None = 1.1
    op_tanh_reduce: Positive = 2.5
    entropy_weight: Annotated[float, Field(ge=0)] = 1e-4
    baseline_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    skip_target: Annotated[float, Field(gt=0, lt=1)] = 0.4
    skip_weight: Annotated[float, Field(ge=0)] = 0.8
    derived: Size = 10

    def updater(self, template: Any) -> Any:
        """Return what learns inside one trial."""
        from controllers.rl.enas_updater import EnasUpdater

        return EnasUpdater(self, shareable(template)[1])


class Enas(SupernetSearch[EnasConfig]):
    """Hands out what ENAS finds.

    Paper: Pham et al., 2018, arXiv 1802.03268, section 2.2.
    """

    config_type = EnasConfig

    def _check_space(self) -> None:
        path, architecture = shareable(self.space.template)
        prefix = join(path, "_")[:-1]
        for point in self.space.points():
            if not point.path.startswith(prefix):
                rule = f"controller {self.kind!r} decides one architecture and nothing else"
                allowed = "a space with no other decision: fix it, or search it with another controller"
                raise SpecError(rule, point.path, allowed, "space")
        try:
            for covering in architecture.cover():
                if (hole := first_hole(covering)) is not None:
                    raise SpecError("weights are shared by operations and inputs alone", allowed="a value", path=hole)
        except SpecError as error:
            raise error.at(join("space", path)) from None

    def found(self, payload: Any) -> Candidate:
        """Return the candidate that a supernet's payload stands for.

        Args:
            payload: `candidate`: path below the architecture -> value.
        """
        path, architecture = shareable(self.space.template)
        found = Space(architecture).candidate(payload["candidate"])
        return self.space.candidate({join(path, name): value for name, value in found.items()})
