import os

import pytest

from cluster.config import Resources
from cluster.resources import bundle, check_fits, check_here, concurrency, describe, device
from search_spaces.errors import SpecError


@pytest.mark.parametrize(
    ("cpus", "gpus", "free", "many"),
    [
        (1, 0.0, [{"CPU": 2.0}], 2),
        (2, 0.0, [{"CPU": 7.0}], 3),
        (4, 0.0, [{"CPU": 2.0}], 1),
        (1, 0.25, [{"CPU": 16.0, "GPU": 2.0}], 8),
        (4, 1.0, [{"CPU": 16.0, "GPU": 8.0}], 4),
        # 1.0 // 0.2 and 1.0 // 0.1 are 4 and 9.
        (1, 0.2, [{"CPU": 16.0, "GPU": 1.0}], 5),
        (1, 0.1, [{"CPU": 16.0, "GPU": 1.0}], 10),
        (1, 0.3, [{"CPU": 16.0, "GPU": 1.0}], 3),
        # What is left on two nodes holds no trial together.
        (3, 0.0, [{"CPU": 4.0}, {"CPU": 5.0}], 2),
        (1, 1.0, [{"CPU": 8.0}, {"CPU": 1.0, "GPU": 4.0}], 1),
        (1, 0.0, [], 1),
    ],
)
def test_as_many_trials_run_as_fit(cpus: int, gpus: float, free: list[dict[str, float]], many: int) -> None:
    assert concurrency(Resources(cpus=cpus, gpus=gpus), free) == many


def test_what_the_file_says_stands() -> None:
    assert concurrency(Resources(concurrency=5), [{"CPU": 2.0}]) == 5


def test_a_trial_that_no_node_can_hold_is_refused_with_the_largest_node() -> None:
    nodes = [{"CPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}]
    check_fits(Resources(cpus=8, gpus=1.0), nodes)
    with pytest.raises(SpecError, match=r"resources/cpus: .* got 16.0; allowed at most 8"):
        check_fits(Resources(cpus=16), nodes)
    with pytest.raises(SpecError, match=r"resources/gpus: .* got 2.0; allowed at most 1"):
        check_fits(Resources(gpus=2.0), nodes)
    # Each amount is there, but not on one node.
    with pytest.raises(SpecError, match="what one node has at once"):
        check_fits(Resources(cpus=4, gpus=1.0), [{"CPU": 8.0}, {"CPU": 1.0, "GPU": 1.0}])


def test_several_processes_a_trial_are_refused() -> None:
    for own_ray in (True, False):
        with pytest.raises(SpecError, match="resources/workers: .* got 2; allowed 1"):
            check_here(Resources(workers=2), own_ray)


def test_more_cpus_than_this_machine_has_are_refused_for_a_ray_of_our_own() -> None:
    many = (os.cpu_count() or 1) + 1
    with pytest.raises(SpecError, match=rf"resources/cpus: .* got {many}.0; allowed at most {many - 1}"):
        check_here(Resources(cpus=many), own_ray=True)
    check_here(Resources(cpus=many), own_ray=False)
    check_here(Resources(cpus=many, concurrency=1), own_ray=True)
    check_here(Resources(cpus=many - 1, gpus=2.0), own_ray=True)


def test_the_device_follows_from_the_accelerators() -> None:
    assert (device(Resources()), device(Resources(gpus=0.5))) == ("cpu", "cuda")
    assert bundle(Resources(cpus=2)) == {"CPU": 2.0}
    assert bundle(Resources(cpus=2, gpus=0.5)) == {"CPU": 2.0, "GPU": 0.5}
    assert describe({"CPU": 2.0, "memory": 1e9, "GPU": 0.0}) == "2 CPU"
