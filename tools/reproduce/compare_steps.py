"""Compare a step of the record with the same step executed again: metrics, artifacts, findings."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict

from stagewright.state.artifacts import Artifact, Outcome
from stagewright.state.chain import ChainedLog
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.replay.portable import marked_text

__all__ = ["ArtifactDifference", "StepDifference", "compare_findings", "compare_outcomes", "findings_of"]

MEASURES_THE_MACHINE = frozenset({"budget", "reused_units", "forecast_accuracy"})
"""Gates whose findings are about this machine and this execution, and no result."""


class ArtifactDifference(BaseModel):
    """A file that is not the same, and by how much where that can be told."""

    model_config = ConfigDict(frozen=True)

    path: str
    what: str
    recorded_sha256: str | None = None
    reproduced_sha256: str | None = None


class StepDifference(BaseModel):
    """What differs in one step. Empty fields say that nothing does."""

    model_config = ConfigDict(frozen=True)

    step: str
    attempt: int
    n_artifacts: int
    n_metrics: int
    metrics: dict[str, tuple[float | None, float | None]] = {}
    artifacts: tuple[ArtifactDifference, ...] = ()
    choices: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        return bool(self.metrics or self.artifacts or self.choices or self.verdicts or self.findings)


def compare_outcomes(recorded: Outcome, reproduced: Outcome) -> StepDifference:
    """Compare what a step computed: every metric, every choice, and every artifact by its digest."""
    metrics = {
        name: (recorded.metrics.get(name), reproduced.metrics.get(name))
        for name in sorted({*recorded.metrics, *reproduced.metrics})
        if recorded.metrics.get(name) != reproduced.metrics.get(name)
    }
    choices = [
        f"{what}: recorded {one}, reproduced {other}"
        for what, one, other in (
            ("K chosen", recorded.k_by_method, reproduced.k_by_method),
            ("K shortlist", recorded.k_shortlist, reproduced.k_shortlist),
            ("configurations", recorded.configurations, reproduced.configurations),
            ("patients without a result", _skipped(recorded), _skipped(reproduced)),
        )
        if one != other
    ]
    return StepDifference(
        step=recorded.step,
        attempt=recorded.attempt,
        n_artifacts=len(recorded.artifacts),
        n_metrics=len(recorded.metrics),
        metrics=metrics,
        artifacts=tuple(_artifacts(_by_path(recorded), _by_path(reproduced))),
        choices=tuple(choices),
    )


def findings_of(run: RunDirectory, attempt: int) -> dict[tuple[str, str], tuple[str, str]]:
    """Return severity and measure of each finding of an attempt's last judgement, by gate and subject."""
    entries = [
        entry
        for entry in ChainedLog(run.log("validation")).entries()
        if entry.get("event") == "finding" and entry.get("attempt") == attempt
    ]
    newest = entries[-1]["at"] if entries else None
    return {
        (str(entry["gate"]), str(entry["subject"])): (str(entry["severity"]), marked_text("", str(entry["measured"])))
        for entry in entries
        if entry["at"] == newest and entry["gate"] not in MEASURES_THE_MACHINE
    }


def compare_findings(
    recorded: Mapping[tuple[str, str], tuple[str, str]], reproduced: Mapping[tuple[str, str], tuple[str, str]]
) -> Iterator[str]:
    """Yield a line for each finding that is not the same."""
    for gate, subject in sorted({*recorded, *reproduced}):
        one, other = recorded.get((gate, subject)), reproduced.get((gate, subject))
        if one != other:
            yield f"{gate}: {subject}: recorded {_said(one)}, reproduced {_said(other)}"


def _said(finding: tuple[str, str] | None) -> str:
    return "nothing" if finding is None else f"{finding[0]} ({finding[1]})"


def _by_path(outcome: Outcome) -> dict[str, Artifact]:
    return {artifact.path: artifact for artifact in outcome.artifacts}


def _artifacts(recorded: Mapping[str, Artifact], reproduced: Mapping[str, Artifact]) -> Iterator[ArtifactDifference]:
    for path in sorted({*recorded, *reproduced}):
        one, other = recorded.get(path), reproduced.get(path)
        if one is None:
            yield ArtifactDifference(path=path, what="was not made in the record")
        elif other is None:
            yield ArtifactDifference(path=path, what="was not made again")
        elif one.sha256 != other.sha256:
            what = "has other bytes"
            yield ArtifactDifference(path=path, what=what, recorded_sha256=one.sha256, reproduced_sha256=other.sha256)


def _skipped(outcome: Outcome) -> list[tuple[str, str, str]]:
    return sorted((item.patient, item.where, item.reason) for item in outcome.skipped)
