"""Where two answers differ, and how far numbers may lie apart."""

import pytest
from pydantic import JsonValue

from stagewright.tools.replay.cassette import Tolerance
from stagewright.tools.replay.compare import differences

TOLERANCE = Tolerance(relative=1e-6, absolute=1e-4)


def places(one: JsonValue, other: JsonValue, tolerance: Tolerance | None = None, *, paged: bool = False) -> list[str]:
    return [item.place for item in differences(one, other, tolerance, paged=paged)]


def test_a_difference_is_named_with_its_place() -> None:
    """Deep in an answer, in a list, missing on either side."""
    one: JsonValue = {"a": {"b": [1, 2, 3]}, "only": 1}
    assert places(one, {"a": {"b": [1, 5]}, "new": None}) == ["a.b[1]", "a.b[2]", "only", "new"]
    assert places(one, one) == []


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (0.9436, 0.94365, True),
        (0.9436, 0.9439, False),
        (3, 4, False),
        (1, True, False),
        (1e6, 1e6 + 0.5, True),
        ("AUC 0.9436 of 9 patients", "AUC 0.9437 of 9 patients", True),
        ("AUC 0.9436 of 9 patients", "AUC 0.9436 of 8 patients", False),
        ("AUC 0.9436", "AUC 0.9536", False),
        ("0.005", "0.006", True),
        ("0.5 pass", "0.5 fail", False),
    ],
)
def test_fractions_have_a_tolerance_and_nothing_else_has(one: JsonValue, other: JsonValue, *, alike: bool) -> None:
    """Counts and words are exact; a printed fraction may differ by one of its last place."""
    assert (places({"x": one}, {"x": other}, TOLERANCE) == []) is alike
    if one != other:
        assert places({"x": one}, {"x": other}) == ["x"]


def test_pages_of_other_lengths_are_compared_as_far_as_both_go() -> None:
    """How much fits on a page depends on the lengths of names."""
    assert places({"items": [1, 2, 3]}, {"items": [1, 2]}, paged=True) == []
    assert places({"items": [1, 2, 3]}, {"items": [1, 9]}, paged=True) == ["items[1]"]
    assert places({"items": [1, 2, 3]}, {"items": [1, 2]}) == ["items[2]"]
