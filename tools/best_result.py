"""Which configuration of a study is the best so far, as its newest scoring stage noted it."""

from dataclasses import dataclass

from stagewright.state.artifacts import read_outcome
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState

__all__ = ["BestResult", "best_result"]

BEST = "best configuration: "


@dataclass(frozen=True, slots=True)
class BestResult:
    """The best of the newest step that scored configurations.

    Attributes
    ----------
    configuration
        What the stage noted; None where its outcome cannot be read, or notes none.
    metrics
        The metrics of the best.
    """

    step: str
    configuration: str | None
    metrics: dict[str, float]


def best_result(run: RunDirectory, state: RunState) -> BestResult | None:
    """Return the best of the newest step that scored configurations of the study; None where none did.

    Cross-validated scores stand in the last scoring stage of a checkpoint, and later checkpoints saw more cells. The
    best of permuted labels is no result of the study.
    """
    for step in reversed([step for step in state.steps if step in state.sealed]):
        metrics = state.sealed[step].metrics
        best = {name: value for name, value in metrics.items() if ".best." in name and not name.startswith("plan2.")}
        if not best:
            continue
        try:
            notes = read_outcome(run.path, state.sealed[step].artifacts).notes
        except ValueError:  # changed since: `verify` says so
            notes = ()
        noted = next((note.removeprefix(BEST) for note in notes if note.startswith(BEST)), None)
        return BestResult(step, noted, best)
    return None
