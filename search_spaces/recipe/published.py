"""Recipes as papers print them, without holes."""

from __future__ import annotations

from search_spaces.recipe.augment import Cutout
from search_spaces.recipe.geometry import Crop, Flip
from search_spaces.recipe.loss import DeepSupervision
from search_spaces.recipe.optimizer import ClipGradients, Sgd
from search_spaces.recipe.recipe import ClassificationRecipe
from search_spaces.recipe.regularization import DropPath
from search_spaces.recipe.schedule import Cosine
from search_spaces.template import preset


@preset("darts-search-recipe")
def darts_search_recipe(batch_size: int = 64, augment: bool = True) -> ClassificationRecipe:
    """Returns how the weights of a supernet learn, for 50 epochs; the logits have the settings of their controller.

    Args:
        batch_size: Images a step.
        augment: Whether images are cropped and mirrored, as those of CIFAR-10 are.

    Paper: Liu et al., 2019, arXiv 1806.09055, section 3.1.1 (rate from 0.025 to 0.001).
    """
    return ClassificationRecipe(
        batch_size=batch_size,
        optimizer=Sgd(lr=0.025, nesterov=False, weight_decay=3e-4, decay_bias_and_norm=True),
        schedule=Cosine(final=0.04),
        warmup=None,
        clip=ClipGradients(norm=5.0),
        crop=Crop() if augment else None,
        flip=Flip() if augment else None,
    )


@preset("darts-recipe")
def darts_recipe(batch_size: int = 96, drop_path: float = 0.2, aux: float = 0.4) -> ClassificationRecipe:
    """Returns how a network of found cells is trained in full, for 600 epochs, with an auxiliary head (`aux: true`).

    Args:
        batch_size: Images a step.
        drop_path: Rate at the end of training, up to which it grows.
        aux: Weight of the loss of the auxiliary head; 0: there is none.

    Paper: Liu et al., 2019, arXiv 1806.09055, section 3.2.1 (cutout of 16 of 32 pixels; rate from 0.025 to 0).
    """
    searched = darts_search_recipe(batch_size)
    changes = {
        "schedule": Cosine(),
        "cutout": Cutout(length=0.5),
        "drop_path": DropPath(rate=drop_path),
        "deep_supervision": DeepSupervision(weight=aux) if aux else None,
    }
    return searched.model_copy(update=changes)
