"""The rule for K, case by case."""

import pytest

from stagewright.stages.stability.choose_k import KChoice, KRow, choose_k
from stagewright.stages.stability.held_out_errors import HeldOutErrors


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


def _held_out(
    figures: dict[int, float], stability: dict[int, float] | None = None, *, spread: float = 0.0002, chance: float = 0.1
) -> KChoice:
    """Choose among K with these R2; the groups of every other K deviate from it by `spread`, up and down in turn."""
    rows = []
    for n, (k, r2) in enumerate(figures.items()):
        errors = tuple(100 * (1 - r2 + (spread if group % 2 else -spread) * (n % 2)) for group in range(8))
        known = None if stability is None else stability[k]
        held_out = HeldOutErrors(errors, (100.0,) * 8)
        rows.append(KRow(k, known, 0.1 * k / (k + 5), held_out, None if known is None else chance))
    return choose_k(rows)


def test_the_smallest_k_that_suffices_is_taken() -> None:
    """From 10 on a component predicts less than 10 % of the average, although 40 is the best and all are stable."""
    figures = {5: 0.06, 10: 0.10, 20: 0.105, 40: 0.108}
    choice = _held_out(figures, dict.fromkeys(figures, 0.9))
    assert choice.k == 10
    assert choice.shortlist == (5, 10, 20, 40)
    assert "K = 10 is where held-out R2 (0.1000) stops rising" in choice.reason
    assert "coarser" in choice.reasons[5]
    assert "finer" in choice.reasons[40]
    assert choice == _held_out(dict(reversed(figures.items())), dict.fromkeys(figures, 0.9))


def test_what_is_within_a_standard_error_is_no_gain() -> None:
    """20 predicts more than 10, but no more than patients differ by chance."""
    figures = {10: 0.10, 20: 0.13}
    assert _held_out(figures).k == 20
    assert "the largest K tried, and held-out R2 (0.1300) rises up to it" in _held_out(figures).reason
    choice = _held_out(figures, spread=0.1)
    assert (choice.k, choice.shortlist) == (10, (10,))
    assert "as well as any" in choice.reasons[20]


def test_a_k_that_adds_nothing_does_not_hide_a_larger_one() -> None:
    """The step to 12 is not worth it, that to 20 is."""
    assert _held_out({10: 0.10, 12: 0.10, 20: 0.16}).k == 20


def test_an_overfitted_k_is_not_in_the_shortlist() -> None:
    """40 predicts held-out cells worse than 20."""
    choice = _held_out({10: 0.05, 20: 0.10, 40: 0.08})
    assert (choice.k, choice.shortlist) == (20, (10, 20))
    assert "K = 20 predicts held-out cells better (R2 0.1000 against 0.0800)" in choice.reasons[40]


def test_an_unstable_k_gives_way_to_a_stable_one() -> None:
    """To the largest stable one below, else the smallest one above, else the most stable of all."""
    figures = {10: 0.05, 20: 0.10, 40: 0.105}
    below = _held_out(figures, {10: 0.9, 20: 0.4, 40: 0.3})
    assert (below.k, below.shortlist) == (10, (10,))
    assert "largest stable K up to there" in below.reason
    assert "0.400 is below 0.5" in below.reasons[20]
    above = _held_out(figures, {10: 0.3, 20: 0.4, 40: 0.6})
    assert (above.k, above.shortlist) == (40, (40,))
    assert "smallest stable K from there on" in above.reason
    none = _held_out(figures, {10: 0.3, 20: 0.45, 40: 0.4})
    assert (none.k, none.shortlist) == (20, (20,))
    assert "most stable K" in none.reason


def test_a_stability_that_chance_reaches_is_none() -> None:
    """With few genes, unrelated components match well above the floor."""
    choice = _held_out({10: 0.05, 20: 0.10}, {10: 0.9, 20: 0.6}, chance=0.65)
    assert choice.k == 10
    assert "does not exceed the 0.650 of chance" in choice.reasons[20]


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], "at least one row"),
        ([KRow(5, 0.5, 0.1), KRow(5, 0.5, 0.1)], "occur once"),
        ([KRow(5, 0.5, 0.1), KRow(6, None, 0.1)], "for all or for none"),
        ([KRow(5, 0.5, float("nan"))], "is NaN"),
        ([KRow(5, 0.5, 0.1, HeldOutErrors((1.0,), (2.0,))), KRow(6, 0.5, 0.1)], "have held-out errors"),
    ],
)
def test_bad_rows_are_refused(rows: list[KRow], text: str) -> None:
    """Each mistake has its own error."""
    with pytest.raises(ValueError, match=text):
        choose_k(rows)
