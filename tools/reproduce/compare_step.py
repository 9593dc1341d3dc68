"""Hold what two runs sealed and judged of one step against each other."""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stagewright.state.artifacts import Artifact, Outcome, read_outcome
from stagewright.state.canonical import digest_file
from stagewright.state.chain import ChainedLog, Entry
from stagewright.state.events import AttemptFinished, StepValidated
from stagewright.state.file_differences import FileDifference, FileDifferences, FilePair, FilePairs
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.children import ChildFailed, ask_child
from stagewright.tools.replies import Tick
from stagewright.tools.reproduce.report import (
    ArtifactDifference,
    FindingDifference,
    StepComparison,
    ValueDifference,
)
from stagewright.tools.verification.fold import Recorded

__all__ = ["Side", "compare_step"]

TIMEOUT_S = 3600.0
OF_THIS_RUN = frozenset({"budget", "reused_units"})
"""Gates that judge how long a step took and what the cache gave: no result, and another for every execution."""
TRIAL_NAME = ("preprocess", "mode", "downsampling", "method", "k", "penalty", "l1_ratio", "alpha", "metric")


class Side:
    """One executed attempt of one of the two runs: what its ledger says of it.

    Parameters
    ----------
    executed, judged
        The entries of the ledger; `judged` is None where there is no verdict on the attempt.
    """

    def __init__(self, run: RunDirectory, executed: Recorded, judged: Recorded | None) -> None:
        event = executed.event
        if not isinstance(event, AttemptFinished) or event.artifacts is None:
            raise TypeError("an executed attempt has artifacts")
        self.run, self.attempt, self.step = run, event.attempt, str(event.step)
        self.verdict: str | None = None if judged is None else _verdict(judged)
        self._judged = judged
        try:
            self.outcome: Outcome = read_outcome(run.path, event.artifacts)
        except ValueError as error:
            what = f"{run.run_id}: {error}, so there is nothing to compare with"
            raise Refusal(
                "damaged", f"{what}: `stagewright verify {run.run_id}` names it.", run_id=run.run_id
            ) from error

    def findings(self) -> dict[tuple[str, str], list[str]]:
        """Return what was found, as severity and measured value, by gate and subject."""
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        if self._judged is None:
            return found
        for entry in ChainedLog(self.run.log("validation")).entries():
            if _of_act(entry, self._judged.entry) and entry.get("gate") not in OF_THIS_RUN:
                said = f"{entry.get('severity')}: {entry.get('measured')}"
                found[str(entry.get("gate")), str(entry.get("subject"))].append(said)
        return found


def compare_step(recorded: Side, again: Side, *, newest: bool) -> Iterator[Tick | StepComparison]:
    """Compare two sides; yield signs of life while files are looked into, then what differs.

    Parameters
    ----------
    newest
        Whether the recorded attempt is the step's last, so that its files are still there.
    """
    before, after = recorded.outcome, again.outcome
    artifacts: tuple[ArtifactDifference, ...] = ()
    for item in _artifacts(recorded, again, newest=newest):
        if isinstance(item, Tick):
            yield item
        else:
            artifacts = item
    yield StepComparison(
        step=recorded.step,
        attempt=recorded.attempt,
        again=again.attempt,
        newest=newest,
        n_artifacts=len(before.artifacts),
        n_metrics=len(before.metrics),
        n_configurations=len(before.trials),
        n_findings=sum(map(len, recorded.findings().values())),
        verdict=recorded.verdict,
        verdict_again=again.verdict,
        artifacts=artifacts,
        metrics=tuple(_values(before.metrics, after.metrics)),
        configurations=tuple(_values(_trials(before), _trials(after))),
        findings=tuple(_findings(recorded, again)),
        others=tuple(_others(before, after)),
    )


def _artifacts(recorded: Side, again: Side, *, newest: bool) -> Iterator[Tick | tuple[ArtifactDifference, ...]]:
    before, after = (_by_path(side.outcome.artifacts) for side in (recorded, again))
    odd = [path for path in sorted(before | after) if _digest(before, path) != _digest(after, path)]
    pairs = [_pair(recorded, again, before[path]) for path in odd if path in before and path in after]
    how: dict[str, FileDifference] = {}
    if newest:
        for item in _asked([pair for pair in pairs if digest_file(Path(pair.before)) == _digest(before, pair.name)]):
            if isinstance(item, Tick):
                yield item
            else:
                how = item
    yield tuple(
        ArtifactDifference(
            path=path,
            recorded=_digest(before, path),
            reproduced=_digest(after, path),
            how=_how(path, before, after, how, newest=newest),
            largest_absolute=how[path].largest_absolute if path in how else None,
            largest_relative=how[path].largest_relative if path in how else None,
        )
        for path in odd
    )


def _how(
    path: str,
    before: Mapping[str, Artifact],
    after: Mapping[str, Artifact],
    how: Mapping[str, FileDifference],
    *,
    newest: bool,
) -> str:
    if path not in after:
        return "only in the record"
    if path not in before:
        return "only in the reproduction"
    if path in how:
        return how[path].said()
    if not newest:
        return "other bytes; of an attempt that was replaced only the digests are left"
    return "other bytes; the recorded file was changed since it was sealed, so only its sealed digest is compared"


def _asked(pairs: Sequence[FilePair]) -> Iterator[Tick | dict[str, FileDifference]]:
    if not pairs:
        return
    with tempfile.TemporaryDirectory(prefix="stagewright-") as folder:
        progress = Path(folder) / "progress"
        question = FilePairs(pairs=tuple(pairs), progress=str(progress))
        try:
            for item in ask_child("stagewright.stages", "compare", question, FileDifferences, TIMEOUT_S):
                if isinstance(item, Tick):
                    done = int(progress.read_text() or 0) if progress.exists() else 0
                    yield Tick(done=done, total=len(pairs), message="looking into the files that differ")
                else:
                    yield {found.name: found for found in item.found}
        except ChildFailed as error:
            fault = f"other bytes; the child that looks into files gave no answer: {error.last_line}"
            yield {pair.name: FileDifference(name=pair.name, fault=fault) for pair in pairs}


def _pair(recorded: Side, again: Side, artifact: Artifact) -> FilePair:
    paths = [str(side.run.path / artifact.path) for side in (recorded, again)]
    return FilePair(name=artifact.path, format=artifact.format, before=paths[0], after=paths[1])


def _by_path(artifacts: Sequence[Artifact]) -> dict[str, Artifact]:
    return {artifact.path: artifact for artifact in artifacts}


def _digest(artifacts: Mapping[str, Artifact], path: str) -> str | None:
    return artifacts[path].sha256 if path in artifacts else None


def _values(before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[ValueDifference]:
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield ValueDifference(name=name, recorded=before.get(name), reproduced=after.get(name))


def _trials(outcome: Outcome) -> dict[str, float]:
    """Return the score of each configuration, by a name that has all but the score in it."""
    found: dict[str, float] = {}
    for trial in outcome.trials:
        parts = [f"{name} {trial[name]}" for name in TRIAL_NAME if trial.get(name) is not None]
        value = trial.get("value")
        if isinstance(value, int | float):
            found[", ".join(parts)] = float(value)
    return found


def _findings(recorded: Side, again: Side) -> Iterator[FindingDifference]:
    before, after = recorded.findings(), again.findings()
    if recorded.verdict is None:
        return
    for gate, subject in dict.fromkeys([*before, *after]):
        odd = Counter(before[gate, subject]), Counter(after[gate, subject])
        if odd[0] != odd[1]:
            said = ["; ".join(one - other) or None for one, other in (odd, odd[::-1])]
            yield FindingDifference(gate=gate, subject=subject, recorded=said[0], reproduced=said[1])


def _others(before: Outcome, after: Outcome) -> Iterator[str]:
    """Yield what else differs, but for what tells one execution from another: times, units that were reused."""
    plain = [
        {
            "chosen K": {**outcome.k_by_method},
            "shortlists of K": {method: [*ks] for method, ks in outcome.k_shortlist.items()},
            "configurations": [*outcome.configurations],
            "patients without a result": [item.model_dump(mode="json") for item in outcome.skipped],
            "notes": [*outcome.notes],
            "cells": outcome.n_cells,
            "units that failed": sorted(unit.name for unit in outcome.units if unit.how == "failed"),
        }
        for outcome in (before, after)
    ]
    for name, value in plain[0].items():
        if value != plain[1][name]:
            yield f"{name}: {value} -> {plain[1][name]}"


def _verdict(judged: Recorded) -> str:
    if not isinstance(judged.event, StepValidated):
        raise TypeError("a verdict")
    return judged.event.verdict


def _of_act(entry: Entry, act: Entry) -> bool:
    """Return whether a finding was written in the act of a verdict: one act has one time."""
    same = all(entry.get(key) == act.get(key) for key in ("at", "step", "attempt"))
    return same and entry.get("event") == "finding"
