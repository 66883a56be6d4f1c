"""A small supernet, and short ways to train it, shared by the tests of this folder."""

from typing import Any

from controllers.gradient.controller import DartsConfig, GradientConfig
from search_spaces.architectures.darts import darts
from search_spaces.recipe import ClassificationRecipe, ClipGradients, GradualWarmup, Sgd
from tests.trainers.examples import squares
from trainers.tasks.classification import Classification, Classifier
from trainers.trial import Report, TrialContext

RECIPE = ClassificationRecipe(
    batch_size=16,
    optimizer=Sgd(lr=0.05, nesterov=False),
    clip=ClipGradients(norm=5.0),
    warmup=GradualWarmup(epochs=0.5),
)
TEMPLATE = Classifier(architecture=darts(layers=3, channels=2, nodes=1), recipe=RECIPE)


def search(
    fidelity: int = 2,
    config: GradientConfig | None = None,
    task: Classification | None = None,
    spec: Classifier = TEMPLATE,
    **context: Any,
) -> list[Report]:
    """Runs a supernet's trial on squares, learning by the updater that the settings make."""
    updater = (config or DartsConfig(learning_rate=0.02)).updater(spec)
    trial = TrialContext(
        "t000000", **{"seed": 3, "fidelity": fidelity, "mode": "supernet", "updater": updater, **context}
    )
    return list((task or Classification()).run(spec, trial, squares(80)))
