"""Language models: windows of streams with a state that goes on, perplexity and bits per character."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.recurrent import States, detached
from trainers.data.splits import Part
from trainers.data.streams import Streams
from trainers.data.text import TextSet
from trainers.learners.base import Learner
from trainers.learners.images import shared
from trainers.learners.restored import restored
from trainers.learners.teaching import joined, teaching
from trainers.trial import ALONE, Common
from trainers.tricks.loss import loss_of
from trainers.tricks.registry import implementation

if TYPE_CHECKING:
    from trainers.tasks.language import LanguageModel

_STREAMS = 16  # read beside one another in an evaluation
_LOGITS = 2**22  # numbers that an evaluation holds at once
_LONGEST = 256  # tokens at once in an evaluation


@dataclass(frozen=True)
class Windows:
    """One batch of windows.

    Args:
        inputs: (N, T) int64 tokens to read.
        targets: (N, T) int64 tokens that follow each.
        fresh: Whether nothing was read before them.
    """

    inputs: Tensor
    targets: Tensor
    fresh: bool


class LanguageLearner(Learner):
    """Trains a network to continue the training part and judges it on the validation part.

    Backpropagation is truncated at the beginning of each window, while the network's state is carried on through an
    epoch (Mikolov et al., 2010; Zaremba et al., 2014, 1409.2329, section 4); it is part of the checkpoint.

    Args:
        spec: Architecture and recipe.
        data: The text.
        seed: Of where the text is cut.
        device: A torch device.
        common: What the trials of the search have in common.

    Raises:
        ValueError: A trick of the recipe cannot be used on this text.
    """

    def __init__(self, spec: LanguageModel, data: TextSet, seed: int, device: str, common: Common = ALONE) -> None:
        recipe = spec.recipe
        self.network = build(spec, data).to(device)
        self._data = data
        self._train = shared(data.part(Part.TRAIN)).to(device)
        self._val = shared(data.part(Part.VAL)).to(device)
        self.sampler: Streams = Streams(len(self._train), recipe.batch_size, recipe.bptt, seed, device)
        self._places = torch.arange(self.sampler.window + 1, device=device)
        self._loss = loss_of(None, recipe.label_smoothing, len(data.vocabulary))
        self._distil = self._distiller(spec, device, common)
        self.extra = joined(distillation=self._distil)
        self._state: States | None = None

    def batch(self, rows: Tensor) -> Windows:
        """Returns the windows that begin at these tokens, which go on behind those of the batch before."""
        tokens = self._train[rows.unsqueeze(1) + self._places].long()
        return Windows(tokens[:, :-1], tokens[:, 1:], self.sampler.fresh)

    def loss(self, batch: Windows) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the cross-entropy with the next tokens in nats a token; the network's state goes on."""
        found = self.network(batch.inputs, None if batch.fresh else self._state)
        self._state = detached(found["state"])
        logits = found["out"].flatten(0, 1)
        targets = batch.targets.flatten()
        loss = self._loss(logits, targets)
        if self._distil is not None:
            said = [{"out": teacher["out"].flatten(0, 1)} for teacher in self._distil.ask(batch.inputs)]
            with torch.autocast(logits.device.type, enabled=False):
                loss = self._distil.join({"out": logits}, said, batch.inputs, loss)
        return loss, {"accuracy": (logits.detach().argmax(1) == targets).float().mean()}

    def _distiller(self, spec: LanguageModel, device: str, common: Common) -> Any:
        """What adds teachers to the loss, which begin anew with each window."""
        wanted, data = spec.recipe.distillation, self._data
        if wanted is None:
            return None
        learn = teaching(LanguageLearner, spec, data, device, common)
        return implementation(wanted)((spec.recipe.bptt,), len(data.vocabulary), device, learn)

    def evaluate(self) -> dict[str, float]:
        """Returns the figures of the whole validation part."""
        found = figures(self.network, self._val, len(self._data.vocabulary))
        return {f"val/{name}": value for name, value in described(found, self._data, Part.VAL).items()}

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of the network behind the last window."""
        return super().state_dict() | {"state": self._state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts it back; that of another batch size is of no use, and streams begin without one."""
        super().load_state_dict(state)
        saved: States | None = state.get("state")
        device, streams = self._train.device, self.sampler.batch_size
        self._state = None
        if saved is not None and all(len(tensor) == streams for layer in saved for tensor in layer):
            self._state = tuple(tuple(tensor.to(device) for tensor in layer) for layer in saved)


def build(spec: LanguageModel, data: TextSet) -> nn.Module:
    """Returns the network for the vocabulary of a text."""
    return spec.architecture.build((spec.recipe.bptt,), len(data.vocabulary))


@torch.inference_mode()
def figures(network: Any, tokens: Tensor, vocabulary: int) -> dict[str, float]:
    """Returns mean cross-entropy in nats and accuracy of all tokens but the first; the network is left in eval mode.

    The text is read as a few streams beside one another, each with the state carried on through all of it.

    Args:
        network: Has `advance`.
        tokens: (T,), at least two.
        vocabulary: Number of logits a token.
    """
    network.eval()
    streams = min(_STREAMS, len(tokens) - 1)
    length = -(-(len(tokens) - 1) // streams)
    padded = F.pad(tokens.long(), (0, streams * length + 1 - len(tokens)))
    inputs, targets = padded[:-1].view(streams, length), padded[1:].view(streams, length)
    counted = torch.arange(1, streams * length + 1, device=tokens.device).view(streams, length) < len(tokens)
    window = max(1, min(_LONGEST, _LOGITS // (streams * vocabulary)))
    loss = torch.zeros((), device=tokens.device, dtype=torch.float64)
    correct = torch.zeros_like(loss)
    state: States | None = None
    for start in range(0, length, window):
        part = slice(start, start + window)
        logits, state = network.advance(inputs[:, part], state)
        counts, truth = counted[:, part], targets[:, part]
        each = F.cross_entropy(logits.float().flatten(0, 1), truth.flatten(), reduction="none")
        loss += (each.double() * counts.flatten()).sum()
        correct += ((logits.argmax(2) == truth) & counts).sum()
    count = len(tokens) - 1
    return {"loss": loss.item() / count, "accuracy": correct.item() / count}


def described(found: dict[str, float], data: TextSet, part: Part) -> dict[str, float]:
    """Returns figures with perplexity and bits per character; words are counted with all characters of their part.

    Args:
        found: Of `figures`.
        data: The text.
        part: The part that was read.
    """
    loss = found["loss"]
    bits = loss / math.log(2) * len(data.part(part)) / data.characters[part]
    perplexity = math.inf if loss > 700 else math.exp(loss)
    return {**found, "perplexity": perplexity, "bits_per_character": bits}


def network_of_checkpoint(spec: LanguageModel, checkpoint: str, data: TextSet) -> Any:
    """Returns the network with the weights that a checkpoint holds.

    Args:
        spec: What was trained.
        checkpoint: Its path or URI.
        data: The text.

    Raises:
        CheckpointError: The checkpoint cannot be read.
    """
    return restored(spec.architecture, (spec.recipe.bptt,), len(data.vocabulary), checkpoint)


def figures_of_checkpoint(spec: LanguageModel, checkpoint: str, data: TextSet, part: Part) -> dict[str, float]:
    """Returns all figures on one part, of the weights that a checkpoint holds.

    Args:
        spec: What was trained.
        checkpoint: Its path or URI.
        data: The text.
        part: Which of it.

    Raises:
        CheckpointError: The checkpoint cannot be read.
    """
    network = network_of_checkpoint(spec, checkpoint, data)
    found = figures(network, shared(data.part(part)), len(data.vocabulary))
    return described(found, data, part)
