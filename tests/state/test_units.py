"""Quantities with their unit: what is written is what is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagewright.state.spec.goal import Budget
from stagewright.state.units import format_bytes, format_seconds, parse_bytes, parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45s", 45), ("90 s", 90), ("30min", 1800), ("6h", 21600), ("1h30min", 5400), ("2d", 172800), ("0.5h", 1800)],
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is a sum of numbers with their units."""
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500MB", 500_000_000),
        ("16GiB", 16 * 2**30),
        ("1.5TiB", 3 * 2**39),
        ("1kB", 1000),
        ("12B", 12),
        ("2 gib", 2**31),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """Decimal and binary units differ; case does not matter."""
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "wrong", [7, 6.0, None, True, "6", "h", "", " ", "6x", "-6h", "0h", "6h and 3", "9" * 400 + "h"]
)
def test_a_duration_without_a_known_unit_is_refused(wrong: object) -> None:
    """A bare number, an unknown unit, nothing, zero, and what no clock can count are all refused with an example."""
    with pytest.raises(ValueError, match=r"duration with its unit.*6h"):
        parse_seconds(wrong)


@pytest.mark.parametrize("wrong", [17, None, "16", "GiB", "0GiB", "0.1B", "16 G", "1GiB 1MB", "9" * 400 + "GiB"])
def test_a_size_without_a_known_unit_is_refused(wrong: object) -> None:
    """As for durations; a size also fits into an integer of JSON."""
    with pytest.raises(ValueError, match=r"size with its unit.*16GiB"):
        parse_bytes(wrong)


@given(st.floats(min_value=1e-9, max_value=1e15))
def test_seconds_survive_being_written_and_read(seconds: float) -> None:
    """What a spec or an adjustment says of time comes back from the record exactly."""
    written = Budget.model_construct(runtime=seconds).model_dump(mode="json")["runtime"]
    assert parse_seconds(written) == seconds


@given(st.integers(min_value=1, max_value=2**53))
def test_bytes_survive_being_written_and_read(size: int) -> None:
    """What a spec or an adjustment says of memory comes back from the record exactly."""
    written = Budget.model_construct(memory=size).model_dump(mode="json")["memory"]
    assert parse_bytes(written) == size


@given(st.integers(min_value=10, max_value=10**9))
def test_whole_seconds_read_as_they_are_shown(seconds: int) -> None:
    """What people are shown of ten seconds or more can be written into a spec."""
    assert parse_seconds(format_seconds(seconds)) == seconds


@given(st.floats(min_value=0, max_value=1e18))
def test_a_shown_size_is_near(size: float) -> None:
    """Three significant digits are shown."""
    number, unit = format_bytes(int(size)).split(" ")
    shown = float(number) * {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}[unit]
    assert shown == pytest.approx(int(size), rel=0.006)
