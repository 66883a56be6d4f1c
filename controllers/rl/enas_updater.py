"""The updater of ENAS: what the weights learn next is a path that the policy draws; the policy learns between epochs.

Paper: Pham et al., 2018, arXiv 1802.03268, section 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from controllers.rl.adam import Adam
from controllers.rl.batch import Batch
from controllers.rl.enas import EnasConfig
from controllers.rl.learner import Baseline
from controllers.rl.policy import Policy, Sample, one_thread
from search_spaces.share import Shareable
from search_spaces.space import Space
from search_spaces.views import from_tokens, to_flat

if TYPE_CHECKING:
    from torch import Tensor


class Moment(Protocol):
    """What is used of the trainers' `Moment`."""

    learns: bool
    epoch_ends: bool

    def loss(self, batch: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the loss of a batch, and figures."""

    def held_out(self) -> Any:
        """Return the next held-out batch."""


class EnasUpdater:
    """A policy over the architectures of a shared network.

    Deviation: the policy learns before the last step of an epoch, not behind it, so that what it has learned is part
        of the report of that epoch.

    Args:
        config: The settings.
        architecture: The template whose choices share weights.
    """

    stopped = False

    def __init__(self, config: EnasConfig, architecture: Shareable) -> None:
        self.config = config
        self.space = Space(architecture)
        self._rewards: list[float] = []
        self._entropies: list[float] = []
        self._best: Sample | None = None

    def start(self, network: Any, seed: int) -> None:
        """Takes the shared network."""
        import torch

        self._network = network
        config = self.config
        self._generator = torch.Generator().manual_seed(seed)
        self.policy = Policy(
            self.space,
            self._generator,
            hidden=config.hidden,
            layers=1,
            init_range=config.init_range,
            temperature=config.temperature,
            tanh=config.tanh,
            reduction=config.op_tanh_reduce,
        )
        # Without a mean of gradients, and with a large epsilon, as in the authors' code.
        self._adam = Adam(self.policy.parameters, config.learning_rate, (0.0, 0.999), 1e-3)
        self._baseline = Baseline(config.baseline_decay)

    def before_step(self, moment: Moment) -> None:
        """Lets the policy learn at the end of an epoch, then draws what the weights learn next."""
        if moment.epoch_ends:
            if moment.learns:
                for _ in range(self.config.steps):
                    self._step(moment)
            self._best = self._derived(moment)
        self._choose(self._sample())

    def _sample(self) -> Sample:
        with one_thread():
            return self.policy.sample(self._generator)

    def _choose(self, sample: Sample) -> None:
        self._network.choose(self.space.realize(sample.candidate))

    def _accuracy(self, sample: Sample, moment: Moment) -> float:
        import torch

        self._choose(sample)
        with torch.no_grad():
            return float(moment.loss(moment.held_out())[1]["accuracy"])

    def _step(self, moment: Moment) -> None:
        import torch

        samples = [self._sample() for _ in range(self.config.samples)]
        accuracies = [self._accuracy(sample, moment) for sample in samples]
        with one_thread():
            batch = Batch(self.policy.script, [sample.tokens for sample in samples])
            log_probs, entropies = self.policy.score(batch)
            entropy = entropies.detach().sum(1).tolist()
            weight = self.config.entropy_weight
            rewards = [accuracy + weight * nats for accuracy, nats in zip(accuracies, entropy, strict=True)]
            advantages = torch.tensor(self._baseline.advantages(rewards))
            loss = -(log_probs.sum(1) * advantages).mean() + self.config.skip_weight * self._divergence(batch)
            if loss.requires_grad:  # else the space leaves nothing to choose
                weights = self.policy.parameters
                found = torch.autograd.grad(loss, tuple(weights.values()), allow_unused=True)
                named = zip(weights, found, strict=True)
                self._adam.step({name: gradient for name, gradient in named if gradient is not None})
        self._rewards += accuracies
        self._entropies += entropy

    def _divergence(self, batch: Batch) -> Tensor:
        """Returns the Kullback-Leibler divergence of skips from the wanted probability, in nats, the mean of layers.

        Paper: Pham et al., 2018, arXiv 1802.03268, section 3.2.
        """
        import torch

        chance, layers = self.policy.chances(batch)
        if layers == 0:
            return torch.zeros(())
        target = self.config.skip_target
        rest = 1 - chance
        return (chance * (chance / target).log() + rest * (rest / (1 - target)).log()).sum() / layers

    def _derived(self, moment: Moment) -> Sample:
        """Returns the best, on a held-out batch each, of some architectures that the policy draws.

        Paper: Pham et al., 2018, arXiv 1802.03268, section 2.2, deriving architectures.
        """
        samples = [self._sample() for _ in range(self.config.derived)]
        accuracies = [self._accuracy(sample, moment) for sample in samples]
        return samples[int(np.argmax(accuracies))]

    def before_evaluation(self, network: Any) -> None:
        """Judges the best path."""
        self._choose(self._best if self._best is not None else self._sample())

    def figures(self) -> Mapping[str, float]:
        """Returns means since the last report: accuracy of the policy's samples on held-out batches, and entropy."""
        if not self._rewards:
            return {}
        found = {"arch/reward": float(np.mean(self._rewards)), "arch/entropy": float(np.mean(self._entropies))}
        self._rewards, self._entropies = [], []
        return found

    def payload(self) -> dict[str, Any]:
        """Returns the best path."""
        best = self._best if self._best is not None else self._sample()
        return {"candidate": to_flat(self.space, best.candidate)}

    def state_dict(self) -> dict[str, Any]:
        """Returns policy, moments of Adam, baseline, generator, best path, and what is not reported yet."""
        import torch

        adam = self._adam.get_state()
        return {
            "policy": {name: weight.detach().clone() for name, weight in self.policy.parameters.items()},
            "steps": adam["steps"],
            "means": {name: torch.from_numpy(value) for name, value in adam["means"].items()},
            "squares": {name: torch.from_numpy(value) for name, value in adam["squares"].items()},
            "baseline": self._baseline.value,
            "generator": self._generator.get_state(),
            "best": None if self._best is None else list(self._best.tokens),
            "rewards": list(self._rewards),
            "entropies": list(self._entropies),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts them back."""
        self.policy.set_state({name: weight.numpy() for name, weight in state["policy"].items()})
        moments = {part: {n: value.numpy() for n, value in state[part].items()} for part in ("means", "squares")}
        self._adam.set_state({"steps": state["steps"], **moments})
        self._baseline.value = state["baseline"]
        self._generator.set_state(state["generator"])
        best = state["best"]
        self._best = None if best is None else Sample(from_tokens(self.space, best), tuple(best), ())
        self._rewards, self._entropies = list(state["rewards"]), list(state["entropies"])
