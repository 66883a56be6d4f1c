from search_spaces.recipe import Trick
from search_spaces.spec import kinds


def test_every_trick_is_found_by_its_kind() -> None:
    assert {"sgd", "adamw", "cosine", "mixup", "cutout", "crop", "flip", "label_smoothing", "ema"} <= set(kinds(Trick))
    assert all(spec.model_fields["kind"].default == kind for kind, spec in kinds(Trick).items())
