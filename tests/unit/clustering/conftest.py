"""Settings of the tests of the clustering."""

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Limit the libraries to one thread: on tables this small, threads only wait for each other when the cores are busy."""
    with threadpool_limits(1):
        yield
