"""Standard errors of held-out R2 against the jackknife over patients."""

import numpy as np
import pytest

from stagewright.stages.stability.held_out_errors import HeldOutErrors


def test_the_standard_error_is_about_that_of_the_jackknife() -> None:
    """Leaving one of 40 patients out at a time gives the same to 10 %, for R2 and for a difference of two."""
    rng = np.random.default_rng(0)
    totals = rng.uniform(50, 150, 40)
    first = totals * rng.uniform(0.7, 0.9, 40)
    second = first - totals * rng.uniform(0.0, 0.04, 40)

    def jackknife(errors: np.ndarray) -> float:
        parts = np.array([1 - np.delete(errors, one).sum() / np.delete(totals, one).sum() for one in range(40)])
        return float(np.sqrt(39 / 40 * ((parts - parts.mean()) ** 2).sum()))

    one, other = (HeldOutErrors(tuple(errors), tuple(totals)) for errors in (first, second))
    assert one.r2 == pytest.approx(1 - first.sum() / totals.sum())
    assert one.standard_error == pytest.approx(jackknife(first), rel=0.1)
    gain, standard_error = other.gain_over(one)
    assert gain == pytest.approx(other.r2 - one.r2)
    assert standard_error == pytest.approx(jackknife(second - first + totals), rel=0.1)
    assert standard_error is not None
    assert one.standard_error is not None
    assert standard_error < one.standard_error  # what makes a patient hard to predict cancels


def test_one_group_has_no_standard_error() -> None:
    """There is no spread to see in it."""
    alone = HeldOutErrors((1.0,), (2.0,))
    assert (alone.r2, alone.standard_error) == (0.5, None)


def test_what_cannot_be_compared_is_refused() -> None:
    """Other cells, nothing to divide by, or not a number."""
    with pytest.raises(ValueError, match="other cells"):
        HeldOutErrors((1.0,), (2.0,)).gain_over(HeldOutErrors((1.0,), (3.0,)))
    with pytest.raises(ValueError, match="do not vary"):
        HeldOutErrors((0.0,), (0.0,))
    with pytest.raises(ValueError, match="not finite"):
        HeldOutErrors((float("nan"),), (1.0,))
    with pytest.raises(ValueError, match="one of each"):
        HeldOutErrors((1.0, 2.0), (1.0,))
