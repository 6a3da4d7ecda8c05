"""What all tests share."""

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

settings.register_profile("avssl", deadline=None)  # a busy machine is no bug
settings.load_profile("avssl")


LONG = (
    "test_training.py",
    "test_signal.py",
    "test_recipes.py",
    "test_tasks_regress.py",
    "test_evaluation_end_to_end.py",
)
"""Files that take longest: started last, they would leave the other processes with nothing to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture
def cuda() -> torch.device:
    """A CUDA device. Without one the test is skipped, or fails if AVSSL_REQUIRE_CUDA=1 says that there must be one."""
    if not torch.cuda.is_available():
        if os.environ.get("AVSSL_REQUIRE_CUDA") == "1":
            pytest.fail("AVSSL_REQUIRE_CUDA=1, and there is no CUDA device")
        pytest.skip("no CUDA device")
    return torch.device("cuda")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Tiny networks gain nothing from threads, and lose much where other tests run beside them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Networks made in a test have the same weights every time."""
    torch.manual_seed(0)
