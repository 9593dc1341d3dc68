"""Verify that a run's logs, its snapshot, its sealed files and its artifacts hold together.

Reads only, needs no run lock, and nothing that the run was made with. Every problem is named once, where it lies.
"""

import time
from dataclasses import dataclass

from stagewright.state.chain import Problem
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.receipt import kept_receipts
from stagewright.tools.verification.anchors import anchor_problems
from stagewright.tools.verification.chains import chain_problems
from stagewright.tools.verification.digests import FileDigests
from stagewright.tools.verification.files import ArtifactCheck
from stagewright.tools.verification.manifest import manifest_problems, open_manifest
from stagewright.tools.verification.notes import notes_on
from stagewright.tools.verification.outcomes import ReadOutcome, read_outcomes
from stagewright.tools.verification.record import ReadRecord, read_details, read_ledger
from stagewright.tools.verification.sealed import sealed_problems
from stagewright.tools.verification.snapshot import snapshot_problems
from stagewright.tools.verification.verdicts import verdict_problems

__all__ = ["CheckedRun", "check_run", "verify_run"]

LOOKS = 4
PAUSE_S = 0.3
FRESH_S = 5.0


@dataclass(frozen=True, slots=True)
class CheckedRun:
    """What was found in a run directory.

    Attributes
    ----------
    problems
        Everything that does not hold together; empty when all of it does.
    notes
        What a reader has to know beside that.
    record, outcomes
        What was read, for whoever compares something else with it.
    """

    problems: list[Problem]
    notes: list[str]
    record: ReadRecord
    outcomes: list[ReadOutcome]


def verify_run(run: RunDirectory) -> list[Problem]:
    """Return everything that does not hold together in a run directory; empty when all of it does. See `check_run`."""
    return check_run(run).problems


def check_run(run: RunDirectory) -> CheckedRun:
    """Return everything that does not hold together in a run directory, and what is to be noted of it.

    Checked are the chains of the four logs, what is left of a write behind their last line, their head files, the
    anchors of the ledger's entries in the other logs, its verdicts against the findings in validation.log, that the
    ledger's events were possible in their order, RUN_STATE.json and run_manifest.yaml against their fold, the sealed
    spec and plan, the requests, outcomes and other files of attempts, every artifact's bytes and sha256, the
    checkpoints' folders for files that nobody declared, and receipts that lie in the run. Where the ledger does not
    hold, what only its later lines could tell is counted and not guessed.

    Parameters
    ----------
    run
        The run directory. While a step of it runs, files are on the move: what looks wrong then is looked at again.
    """
    for look in range(LOOKS):
        before = _ledger_size(run)
        checked = _look_at(run)
        last = look + 1 == LOOKS
        if last or not checked.problems or not (_is_moving(run, checked) or _ledger_size(run) != before):
            return checked
        time.sleep(PAUSE_S)
    raise RuntimeError("there is at least one look")


def _is_moving(run: RunDirectory, checked: CheckedRun) -> bool:
    """Return whether what looks wrong may be a run at work: files that follow the ledger lag behind it a moment."""
    state = checked.record.folded.state
    if state is not None and state.status == "running":
        return True
    following = {run.snapshot.name, run.manifest.name}
    if not all(problem.file in following for problem in checked.problems):
        return False
    path = run.log("agent_run")
    return path.is_file() and time.time() - path.stat().st_mtime < FRESH_S


def _ledger_size(run: RunDirectory) -> int:
    path = run.log("agent_run")
    return path.stat().st_size if path.is_file() else 0


def _look_at(run: RunDirectory) -> CheckedRun:
    with FileDigests() as digests:
        ledger, folded = read_ledger(run)
        outcomes = read_outcomes(run, folded)
        manifest = open_manifest(run)
        artifacts = ArtifactCheck(run, folded, digests)
        artifacts.begin(outcomes, manifest)
        record = ReadRecord(ledger, folded, read_details(run))
        found: list[Problem] = []
        for read in (ledger, *record.details.values()):
            found += chain_problems(read)
        found += folded.problems
        found += anchor_problems(record)
        found += verdict_problems(record)
        found += snapshot_problems(run, folded)
        found += sealed_problems(run, folded, outcomes)
        found += manifest_problems(run, folded, outcomes, manifest)
        found += artifacts.problems()
        found += kept_receipts(run, record, outcomes)
        return CheckedRun(found, notes_on(run, record), record, outcomes)
