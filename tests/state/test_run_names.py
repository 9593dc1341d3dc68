"""How a run is named and found."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RUN_NAME, find_run, list_runs, name_run
from stagewright.state.run_state import split_step

MOMENT = datetime(2026, 11, 22, 13, 41, 56, tzinfo=UTC)


def test_a_name_says_when_and_what() -> None:
    """Time in UTC, the first words of the objective, and eight digits of a hash."""
    name = name_run("At MRD, does gene filtering change how well cells separate?", "d", MOMENT)
    assert name.startswith("20261122_134156_at-mrd-does-gene-filtering-change-how_")
    there = MOMENT.astimezone(timezone(timedelta(hours=5)))
    assert name_run("x", "d", there)[:15] == "20261122_134156"


@given(st.text(max_size=200))
def test_every_objective_gives_a_name(objective: str) -> None:
    """In any language and of any length; the name is a safe file name."""
    assert RUN_NAME.match(name_run(objective, "d", MOMENT))


def test_names_differ_by_spec_time_and_turn() -> None:
    """Two runs of one second do not share a folder."""
    later = MOMENT + timedelta(microseconds=1)
    names = {name_run("x", "d", MOMENT), name_run("x", "e", MOMENT), name_run("x", "d", later)}
    assert len(names | {name_run("x", "d", MOMENT, again=1)}) == 4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make two runs and things that are none."""
    for name in ("20261122_134156_a_00000001", "20261123_134156_b_00000002", ".new-x", "notes", "20261122_1_x_y"):
        (tmp_path / "experiments" / name).mkdir(parents=True)
    (tmp_path / "experiments" / "20261124_134156_c_00000003").touch()
    return tmp_path


def test_runs_are_listed_newest_first(root: Path) -> None:
    """Only folders with a run's name; nothing when there are none."""
    assert [run.run_id[:8] for run in list_runs(root)] == ["20261123", "20261122"]
    assert list(list_runs(root / "elsewhere")) == []


def test_a_run_is_found_by_its_id_or_a_unique_prefix(root: Path) -> None:
    """Part of the name is enough while it is unique."""
    assert find_run(root, "20261122_134156_a_00000001").run_id == "20261122_134156_a_00000001"
    assert find_run(root, "20261123").run_id == "20261123_134156_b_00000002"


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("2026112", "'2026112' begins the names of 2 runs; they are: 20261123_134156_b_00000002, 20261122"),
        ("", "there is no run ''"),
        ("nothing", "there is no run 'nothing' here; the newest are: 20261123_134156_b_00000002"),
        ("../experiments/20261122_134156_a_00000001", "there is no run"),
        ("/etc", "there is no run '/etc'"),
        ("notes", "there is no run 'notes'"),
        ("*", "there is no run '*'"),
    ],
)
def test_what_names_no_single_run_is_refused_with_what_there_is(root: Path, named: str, says: str) -> None:
    """And with the call that lists the runs."""
    with pytest.raises(Refusal) as caught:
        find_run(root, named)
    assert caught.value.code == "unknown_run"
    assert says in str(caught.value)
    assert "Next: read_state()" in str(caught.value)


def test_where_there_are_no_runs_the_next_call_plans_one(tmp_path: Path) -> None:
    """An agent that begins with a run id from another life is led to the start."""
    with pytest.raises(Refusal, match=r"no run has been planned yet") as caught:
        find_run(tmp_path, "x")
    assert "Next: plan_run()" in str(caught.value)


@pytest.mark.parametrize("step", ["", "A", "D/plan0", "plan0", "AA/plan0"])
def test_a_step_is_checkpoint_and_stage(step: str) -> None:
    """Anything else is no step."""
    if step == "A":
        assert split_step(step) == ("A", "")
    else:
        with pytest.raises(ValueError, match="is not checkpoint/stage"):
            split_step(step)
