"""The folder that the workers of a cluster read from: one for each attempt, below the operator's."""

from pathlib import Path

from stagewright.state.executor import ExecutorChoice


def on_cluster(scratch: Path | None) -> ExecutorChoice:
    """Return a choice with a common folder."""
    return ExecutorChoice(kind="dask", scheduler="tcp://127.0.0.1:9", scratch=scratch)


def test_an_attempt_has_a_folder_of_its_own_below_the_common_one() -> None:
    """Also where its own path has so few parts that the root would be one of them."""
    choice = on_cluster(Path("/shared"))
    attempt = Path("/lab/experiments/run_1/attempts/0001_A_plan0/scratch")
    assert choice.scratch_of(attempt) == Path("/shared/run_1_attempts_0001_A_plan0_scratch")
    assert choice.scratch_of(Path("/scratch/stagewright-x/doctor_y")) == Path("/shared/scratch_stagewright-x_doctor_y")


def test_without_a_common_folder_it_is_the_attempts() -> None:
    """As on this machine."""
    own = Path("/runs/run_1/attempts/0001_A_plan0/scratch")
    assert on_cluster(None).scratch_of(own) == own
    assert ExecutorChoice().scratch_of(own) == own
