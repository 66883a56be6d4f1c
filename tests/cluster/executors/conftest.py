"""One Ray for all tests of this folder."""

from collections.abc import Iterator

import pytest

from cluster.ray_runtime import RayRuntime


@pytest.fixture(scope="session")
def ray_runtime() -> Iterator[RayRuntime]:
    with RayRuntime(cpus=2) as runtime:
        yield runtime
