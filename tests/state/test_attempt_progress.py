"""What is said of an attempt under way: the units at work, the share that is done, the time that is left."""

import pytest

from stagewright.state.attempt_progress import AttemptProgress, UnitAtWork


def made(**fields: object) -> AttemptProgress:
    """Return the progress of eight units, two side by side."""
    return AttemptProgress.model_validate({"at": "2026-11-22T13:41:56.120Z", "total": 8, "side_by_side": 2} | fields)


def test_units_of_one_length_end_when_they_are_expected_to() -> None:
    """Ten seconds each, two at work for four seconds, four waiting: six seconds, then twice ten."""
    at_work = (UnitAtWork(name="a", since=96.0), UnitAtWork(name="b", since=96.0))
    assert made(done=2, unit_s=10.0, at_work=at_work).left_s(100.0) == pytest.approx(26.0)


def test_parts_tell_how_long_a_unit_takes_before_any_is_done() -> None:
    """Three of twelve parts in six seconds: eighteen more, and seven units of 24 seconds one after the other."""
    at_work = (UnitAtWork(name="a", since=94.0, parts_done=3, parts=12),)
    assert made(side_by_side=1, at_work=at_work).left_s(100.0) == pytest.approx(18.0 + 7 * 24.0)


def test_nothing_is_guessed_of_the_first_unit() -> None:
    """No number is better than a made-up one."""
    assert made(at_work=(UnitAtWork(name="a", since=94.0),)).left_s(100.0) is None


@pytest.mark.parametrize("parts", [0, 12])
def test_the_count_grows_while_a_unit_is_at_work_and_never_reaches_the_next(parts: int) -> None:
    """Whether it has parts or not."""
    progress = made(done=2, at_work=(UnitAtWork(name="a", since=0.0, parts_done=parts // 4, parts=parts),))
    counts = [progress.units_done(now) for now in (0.0, 1.0, 10.0, 1e6)]
    assert counts == sorted(set(counts))
    assert 2.0 <= counts[0] < counts[-1] < 3.0


def test_the_line_names_units_parts_and_time() -> None:
    """The newest first, a few of them."""
    at_work = (
        UnitAtWork(name="fa", since=88.0),
        UnitAtWork(name="pca", since=92.0, parts_done=5, parts=12),
        *(UnitAtWork(name=f"nmf_{at}", since=99.0) for at in range(2)),
    )
    said = made(done=3, unit_s=30.0, at_work=at_work).said(100.0)
    assert said == "3 of 8 units done, at work: nmf_1 (1s), nmf_0 (1s), pca (5 of 12 parts, 8s), 1 more; about 59s left"
