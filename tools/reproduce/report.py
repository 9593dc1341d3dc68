"""What a reproduction found: for each step what differs from the record, and what the two ran on."""

from stagewright.state.records import Record

__all__ = ["ArtifactDifference", "FindingDifference", "Reproduction", "StepComparison", "ValueDifference"]


class ValueDifference(Record):
    """A metric or a score of a configuration; None where one of the two runs has none."""

    name: str
    recorded: float | None
    reproduced: float | None

    def said(self) -> str:
        """Return both values, and how far they are apart.

        >>> ValueDifference(name="best.auc", recorded=0.75, reproduced=0.5).said()
        'best.auc: 0.75 -> 0.5 (by -0.25)'
        """
        before, after = ("none" if value is None else f"{value:.10g}" for value in (self.recorded, self.reproduced))
        if self.recorded is None or self.reproduced is None:
            return f"{self.name}: {before} -> {after}"
        return f"{self.name}: {before} -> {after} (by {self.reproduced - self.recorded:+.3g})"


class ArtifactDifference(Record):
    """A file whose sha256 differs, or that one of the two runs lacks; `how` says how much its numbers differ."""

    path: str
    recorded: str | None
    reproduced: str | None
    how: str
    largest_absolute: float | None = None
    largest_relative: float | None = None


class FindingDifference(Record):
    """What a gate found on one subject: severity and measured value of both; None where it found nothing."""

    gate: str
    subject: str
    recorded: str | None
    reproduced: str | None


class StepComparison(Record):
    """One executed attempt beside its reproduction.

    Attributes
    ----------
    attempt, again
        Its number in the record, and in the reproduction, which has no attempt for those that failed or were lost.
    newest
        Whether its artifacts are the step's present ones: of an earlier attempt only the digests are left.
    verdict, verdict_again
        None where the record has no verdict on it.
    others
        What else differs, in words: chosen K, configurations, patients without a result, notes.
    """

    step: str
    attempt: int
    again: int
    newest: bool
    n_artifacts: int
    n_metrics: int
    n_configurations: int
    n_findings: int
    verdict: str | None
    verdict_again: str | None
    artifacts: tuple[ArtifactDifference, ...] = ()
    metrics: tuple[ValueDifference, ...] = ()
    configurations: tuple[ValueDifference, ...] = ()
    findings: tuple[FindingDifference, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def n_differences(self) -> int:
        """The number of differences."""
        found = (self.artifacts, self.metrics, self.configurations, self.findings, self.others)
        return sum(map(len, found)) + (self.verdict != self.verdict_again)


class Reproduction(Record):
    """The whole of it.

    Attributes
    ----------
    upto
        The last step that was to be reproduced.
    workers
        Units side by side, where that was asked for.
    holdout
        What differs in the score of the sealed hold-out.
    surroundings
        How packages, machine, executor and gates differ from those of the record.
    notes
        What was not reproduced or not compared, and why.
    broke_off
        Why the reproduction could not follow the record to its end; None when it did.
    reproduced_as, folder
        The run that reproduced it, and the root in which it was left; None when it was removed.
    """

    run_id: str
    data_sha256: str
    upto: str
    workers: int | None
    steps: tuple[StepComparison, ...]
    holdout: tuple[ValueDifference, ...] = ()
    surroundings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    broke_off: str | None = None
    reproduced_as: str | None = None
    folder: str | None = None

    @property
    def n_differences(self) -> int:
        """The number of differences in all."""
        return sum(step.n_differences for step in self.steps) + len(self.holdout) + (self.broke_off is not None)

    @property
    def equal(self) -> bool:
        """Whether all that was compared is the same."""
        return self.n_differences == 0
