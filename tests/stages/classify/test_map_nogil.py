"""The thread map."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from stagewright.stages.classify.threads import map_nogil


@pytest.mark.parametrize("n_workers", [1, 4])
def test_results_keep_the_order_of_the_items(n_workers: int) -> None:
    """Results stand where their items stood, also when a later item finishes first."""
    later_done = threading.Event()

    def square(item: int) -> int:
        if item == 0 and n_workers > 1:
            assert later_done.wait(10)
        later_done.set()
        return item * item

    assert map_nogil(square, range(8), n_workers) == [item * item for item in range(8)]


def test_blas_is_held_to_one_thread() -> None:
    """Inside, every BLAS has one thread; outside it has what it had."""
    np.dot(np.ones((2, 2)), np.ones((2, 2)))

    def blas_threads(_: int = 0) -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before = blas_threads()
    for inside in map_nogil(blas_threads, range(2), 2):
        assert inside
        assert set(inside) == {1}
    assert blas_threads() == before


@pytest.mark.parametrize("n_workers", [1, 2])
def test_errors_pass_through(n_workers: int) -> None:
    """The earliest item's error reaches the caller as it is."""

    def fail(item: int) -> None:
        raise KeyError(item)

    with pytest.raises(KeyError, match="0"):
        map_nogil(fail, range(3), n_workers)


def test_workers_must_be_positive() -> None:
    """No workers at all is an error."""
    with pytest.raises(ValueError, match="n_workers"):
        map_nogil(abs, [1], 0)
