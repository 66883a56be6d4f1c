"""Specs of training tricks, a family a file; `trainers` implements them."""

from search_spaces.recipe.augment import Augmentation, Crop, Cutout, Flip, Mix, Mixup
from search_spaces.recipe.loss import LabelSmoothing
from search_spaces.recipe.optimizer import AdamW, ClipGradients, Optimizer, Sgd
from search_spaces.recipe.recipe import Recipe
from search_spaces.recipe.regularization import Dropout, DropPath, EarlyStopping, Ema
from search_spaces.recipe.schedule import Constant, Cosine, GradualWarmup, Schedule, Warmup
from search_spaces.recipe.trick import Trick

__all__ = [
    "AdamW",
    "Augmentation",
    "ClipGradients",
    "Constant",
    "Cosine",
    "Crop",
    "Cutout",
    "DropPath",
    "Dropout",
    "EarlyStopping",
    "Ema",
    "Flip",
    "GradualWarmup",
    "LabelSmoothing",
    "Mix",
    "Mixup",
    "Optimizer",
    "Recipe",
    "Schedule",
    "Sgd",
    "Trick",
    "Warmup",
]
