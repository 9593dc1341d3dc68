"""Properties of the folds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagewright.stages.classify.folds import (
    FoldPlan,
    feasible_folds,
    feasible_grouped_folds,
    grouped_folds,
    repeatable_grouped_folds,
    repeated_grouped_folds,
    repeated_stratified_folds,
    stratified_folds,
)


def labels(n_positive: int, n_negative: int, seed: int = 0) -> np.ndarray:
    y = np.arange(n_positive + n_negative) < n_positive
    return np.random.default_rng(seed).permutation(y)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(2, 10), st.integers(0, 2**32))
def test_classes_are_spread_evenly(n_positive: int, n_negative: int, wanted: int, seed: int) -> None:
    """In each class and in all, the folds' sizes differ by at most 1, and each fold holds both classes."""
    plan = feasible_folds(n_positive, n_negative, wanted)
    y = labels(n_positive, n_negative, seed)
    folds = stratified_folds(y, plan.n_folds, seed)
    for members in (y, ~y, np.ones_like(y)):
        counts = np.bincount(folds[members], minlength=plan.n_folds)
        assert counts.size == plan.n_folds
        assert counts.max() - counts.min() <= 1
        assert counts.min() >= 1


def test_folds_are_a_function_of_the_seed() -> None:
    """The same seed gives the same folds, another seed others; the first repeats do not depend on later ones."""
    y = labels(30, 70)
    np.testing.assert_array_equal(stratified_folds(y, 5, 1), stratified_folds(y, 5, 1))
    assert (stratified_folds(y, 5, 1) != stratified_folds(y, 5, 2)).any()
    ten, three = repeated_stratified_folds(y, 5, 10, 7), repeated_stratified_folds(y, 5, 3, 7)
    assert ten.shape == (10, 100)
    np.testing.assert_array_equal(ten[:3], three)
    assert np.unique(ten, axis=0).shape[0] == 10


def test_interleaving_of_the_classes_does_not_matter() -> None:
    """The k-th positive cell gets the same fold wherever the negative cells stand."""
    first, second = labels(13, 40, seed=1), labels(13, 40, seed=2)
    for members in (lambda y: y, lambda y: ~y):
        np.testing.assert_array_equal(
            stratified_folds(first, 4, 0)[members(first)], stratified_folds(second, 4, 0)[members(second)]
        )


@pytest.mark.parametrize("n_folds", [0, 1, 4])
def test_impossible_folds_are_refused(n_folds: int) -> None:
    """Fewer than 2 folds, or more than the smaller class has cells, is an error that names the limit."""
    with pytest.raises(ValueError, match="3 cells of the smaller class"):
        stratified_folds(labels(3, 50), n_folds, 0)


def test_labels_must_be_bool() -> None:
    """Integer labels are refused: which of them is positive would be a guess."""
    with pytest.raises(ValueError, match="must be bool"):
        stratified_folds(np.array([0, 1, 0, 1]), 2, 0)
    with pytest.raises(ValueError, match="n_repeats"):
        repeated_stratified_folds(labels(5, 5), 2, 0, 0)


@pytest.mark.parametrize(
    ("n_positive", "n_negative", "n_folds", "reason"),
    [
        (50, 50, 5, None),
        (5, 90, 5, None),
        (3, 90, 3, "3 positive cells allow 3 folds instead of 5"),
        (90, 2, 2, "2 negative cells allow 2 folds instead of 5"),
        (1, 1375, 0, "1 positive cell, and 2 folds need at least 2"),
        (0, 9, 0, "only one class: 0 positive cells"),
        (9, 0, 0, "only one class: 0 negative cells"),
    ],
)
def test_feasible_folds_say_why(n_positive: int, n_negative: int, n_folds: int, reason: str | None) -> None:
    """The number of folds is reduced to the smaller class, or to 0, with the reason in words."""
    assert feasible_folds(n_positive, n_negative, 5) == FoldPlan(n_folds, reason)


def test_feasible_folds_check_their_limits() -> None:
    """A minimum below 2 or above what is wanted is an error; a larger minimum is respected."""
    assert feasible_folds(3, 9, 5, minimum=4).n_folds == 0
    for wanted, minimum in ((5, 1), (2, 3)):
        with pytest.raises(ValueError, match="minimum"):
            feasible_folds(9, 9, wanted, minimum)


def test_no_group_lies_on_both_sides() -> None:
    """Each group lies in one fold, every fold is used, and each training part has both classes."""
    generator = np.random.default_rng(3)
    groups = generator.integers(0, 12, size=600).astype(str)
    y = generator.random(600) < 0.3
    repeats = repeated_grouped_folds(y, groups, 4, 5, seed=1)
    assert repeats.shape == (5, 600)
    for folds in repeats:
        for group in np.unique(groups):
            assert np.unique(folds[groups == group]).size == 1
        assert set(folds) == set(range(4))
        for fold in range(4):
            assert np.unique(y[folds != fold]).size == 2
    np.testing.assert_array_equal(repeats[:2], repeated_grouped_folds(y, groups, 4, 2, seed=1))


def test_grouped_folds_follow_the_groups_of_the_smaller_class() -> None:
    """Where two groups only hold positive cells two folds are feasible, and three are refused with the reason."""
    groups = np.repeat(np.arange(6), 10)
    y = (groups < 2) & (np.arange(60) % 10 < 5)
    assert feasible_grouped_folds(y, groups, 5) == FoldPlan(2, "2 positive groups allow 2 folds instead of 5")
    assert set(grouped_folds(y, groups, 2, 0)) == {0, 1}
    with pytest.raises(ValueError, match="2 positive groups allow 2 folds instead of 3"):
        grouped_folds(y, groups, 3, 0)
    assert feasible_grouped_folds(groups == 0, groups, 5).n_folds == 0


def test_whole_groups_that_the_folds_cannot_hold_give_fewer_folds() -> None:
    """Each fold of each repeat has cells; two groups of a class allow two folds, one group of a class none."""
    groups = np.repeat(np.arange(8), 10)
    y = np.isin(groups, [0, 1, 2, 3])
    assert repeatable_grouped_folds(y, groups, 4, 5, seed=1) == FoldPlan(4, None)
    few = repeatable_grouped_folds(np.isin(groups, [0, 1]), groups, 5, 5, seed=1)
    assert few.n_folds == 2
    assert few.reason == "2 positive groups allow 2 folds instead of 5"
    folds = repeated_grouped_folds(np.isin(groups, [0, 1]), groups, few.n_folds, 5, seed=1)
    assert all(np.unique(row).size == 2 for row in folds)
    none = repeatable_grouped_folds(groups == 0, groups, 5, 5, seed=1)
    assert none.n_folds == 0
    assert none.reason is not None
