"""A small set of scenes, small detectors and short ways to train them."""

from typing import Any

from search_spaces.architectures.detector import Detector
from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.anchors import GridAnchors
from search_spaces.blocks.cascade import Cascade, TwoStage
from search_spaces.blocks.detection import DetectionHead, Guided, OneStage
from search_spaces.blocks.necks import Fpn
from search_spaces.blocks.regions import RoiAlign
from search_spaces.recipe import AdamW, DetectionRecipe
from trainers.data.pictures import DetectionSet
from trainers.data.scenes import Scenes
from trainers.tasks.detection import Detection, DetectionModel
from trainers.trial import Report, TrialContext

ONE = OneStage(depth=1)
TWO = TwoStage(candidates=48, proposals=16, hidden=24, pooling=RoiAlign(size=3, sampling=1))
CASCADE = Cascade(candidates=32, proposals=8, hidden=16, pooling=RoiAlign(size=3, sampling=1), stages=2)
GUIDED = Guided(depth=0)
HEADS: dict[str, DetectionHead] = {"one_stage": ONE, "two_stage": TWO}


def network(head: DetectionHead = ONE) -> Detector:
    return Detector(
        backbone=Resnet(depths=(1, 1), widths=(8, 16), stem="strided"),
        neck=Fpn(width=16, skip=1),
        head=head,
        anchors=GridAnchors(sizes=(3.0,), scales=(1.0,), ratios=(0.5, 1.0, 2.0)),
    )


def scenes(rows: int = 40) -> DetectionSet:
    """Scenes of 32 x 32 pixels, of which some objects are difficult."""
    return Scenes(scenes=rows, size=32, val=0.2, test=0.2).load_boxes()


def model(head: DetectionHead = ONE, **recipe: Any) -> DetectionModel:
    settings = {"batch_size": 8, "optimizer": AdamW(lr=3e-3), "warmup": None, **recipe}
    return DetectionModel(architecture=network(head), recipe=DetectionRecipe(**settings))


def run(spec: DetectionModel, fidelity: int = 2, data: DetectionSet | None = None, **context: Any) -> list[Report]:
    trial = TrialContext("t000001", **{"seed": 5, "fidelity": fidelity, **context})
    return list(Detection().run(spec, trial, scenes() if data is None else data))
