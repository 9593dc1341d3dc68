"""The rule for K, case by case."""

import pytest

from stagewright.stages.stability.choose_k import KRow, choose_k


def test_the_largest_stable_and_worthwhile_k_is_taken() -> None:
    """60 is unstable, so 40 is taken; the reason has its figures; the order of the rows does not matter."""
    rows = [KRow(60, 0.3, 0.40), KRow(20, 0.9, 0.20), KRow(40, 0.7, 0.30)]
    choice = choose_k(rows)
    assert choice.k == 40
    assert choice.shortlist == (20, 40)
    assert "0.700" in choice.reason
    assert "50%" in choice.reason
    assert choice == choose_k(rows[::-1])


def test_a_stable_k_that_adds_nothing_is_not_taken() -> None:
    """The step to 40 explains 5 % of the average before, less than the 10 % asked for."""
    choice = choose_k([KRow(20, 0.9, 0.200), KRow(40, 0.9, 0.210)])
    assert choice.k == 20
    assert "smallest K tried" in choice.reason


def test_without_a_stable_k_the_most_stable_is_taken() -> None:
    """Ties go to the smaller K."""
    choice = choose_k([KRow(20, 0.4, 0.2), KRow(40, 0.4, 0.3), KRow(60, 0.2, 0.4)])
    assert choice.k == 20
    assert "no K reaches 0.5" in choice.reason
    assert choose_k([KRow(20, 0.1, 0.2), KRow(40, 0.8, 0.2)]).k == 40


def test_the_floor_itself_is_good_enough() -> None:
    """At least means at least; a changed floor changes the choice."""
    rows = [KRow(20, 0.9, 0.2), KRow(40, 0.5, 0.3)]
    assert choose_k(rows).k == 40
    assert choose_k(rows, stability_floor=0.6).k == 20


def test_seed_invariant_methods_go_by_the_elbow() -> None:
    """The walk stops at the first step that is not worth it, even when a later one would be."""
    rows = [KRow(10, None, 0.20), KRow(20, None, 0.26), KRow(30, None, 0.262), KRow(40, None, 0.35)]
    choice = choose_k(rows)
    assert choice.k == 20
    assert choice.shortlist == (10, 20)
    assert "Stability does not apply" in choice.reason
    assert "K = 30" in choice.reason
    assert "no larger K was tried" in choose_k(rows[:2]).reason


def test_one_k_is_its_own_choice() -> None:
    """Nothing to compare with is no error."""
    assert choose_k([KRow(5, None, 0.1)]).k == 5
    assert choose_k([KRow(5, 0.2, 0.0), KRow(9, 0.9, 0.1)]).k == 9


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], "at least one row"),
        ([KRow(5, 0.5, 0.1), KRow(5, 0.5, 0.1)], "occur once"),
        ([KRow(5, 0.5, 0.1), KRow(6, None, 0.1)], "for all or for none"),
        ([KRow(5, 0.5, float("nan"))], "is NaN"),
    ],
)
def test_bad_rows_are_refused(rows: list[KRow], text: str) -> None:
    """Each mistake has its own error."""
    with pytest.raises(ValueError, match=text):
        choose_k(rows)
