"""What the loop and an updater say to each other."""

from typing import get_type_hints

from controllers.gradient.controller import DartsConfig, GdasConfig
from tests.trainers.supernets import TEMPLATE
from trainers.supernet import ArchUpdater, Moment


def test_updaters_of_controllers_are_what_the_loop_calls() -> None:
    wanted = [name for name in vars(ArchUpdater) if not name.startswith("_")]
    assert len(wanted) == 8
    for config in (DartsConfig(), GdasConfig()):
        updater = config.updater(TEMPLATE)
        assert [name for name in wanted if not hasattr(updater, name)] == []


def test_a_moment_has_what_updaters_use() -> None:
    from controllers.gradient.updater import Moment as Used

    needed = set(get_type_hints(Used)) | {name for name in vars(Used) if not name.startswith("_")}
    assert needed <= set(Moment.__dataclass_fields__)
