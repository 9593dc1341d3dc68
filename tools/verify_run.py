"""Verify that a run's logs, its snapshot, its sealed files and its artifacts hold together.

Reads only, needs no run lock, and nothing that the run was made with. Every problem is named once, where it lies.
"""

import time

from stagewright.state.chain import ChainedLog, Problem
from stagewright.state.run_directory import LOG_NAMES, RunDirectory
from stagewright.tools.verification.anchors import anchor_problems
from stagewright.tools.verification.chains import chain_problems
from stagewright.tools.verification.files import artifact_problems
from stagewright.tools.verification.fold import FoldedLedger, fold_ledger
from stagewright.tools.verification.manifest import manifest_problems, open_manifest
from stagewright.tools.verification.outcomes import read_outcomes
from stagewright.tools.verification.sealed import sealed_problems
from stagewright.tools.verification.snapshot import snapshot_problems
from stagewright.tools.verification.verdicts import verdict_problems

__all__ = ["verify_run"]

LOOKS = 4
PAUSE_S = 0.3
FRESH_S = 5.0


def verify_run(run: RunDirectory) -> list[Problem]:
    """Return everything that does not hold together in a run directory; empty when all of it does.

    Checked are the chains of the four logs, what is left of a write behind their last line, the anchors of the
    ledger's entries in the other logs, its verdicts against the findings in validation.log, that the ledger's events
    were possible in their order, RUN_STATE.json and run_manifest.yaml against their fold, the sealed spec and plan, the
    requests and outcomes of attempts, every artifact's bytes and sha256, and the checkpoints' folders for files that
    nobody declared. Where the ledger does not hold, what only its later lines could tell is counted and not guessed.

    Parameters
    ----------
    run
        The run directory. While a step of it runs, files are on the move: what looks wrong then is looked at again.
    """
    problems: list[Problem] = []
    for look in range(LOOKS):
        if look:
            time.sleep(PAUSE_S)
        before = _ledger_size(run)
        folded = fold_ledger(run)
        problems = _problems(run, folded)
        if not problems or not (_is_moving(run, folded, problems) or _ledger_size(run) != before):
            break
    return problems


def _is_moving(run: RunDirectory, folded: FoldedLedger, problems: list[Problem]) -> bool:
    """Return whether what looks wrong may be a run at work: files that follow the ledger lag behind it a moment."""
    if folded.state is not None and folded.state.status == "running":
        return True
    following = {run.snapshot.name, run.manifest.name}
    if not all(problem.file in following for problem in problems):
        return False
    path = run.log("agent_run")
    return path.is_file() and time.time() - path.stat().st_mtime < FRESH_S


def _ledger_size(run: RunDirectory) -> int:
    path = run.log("agent_run")
    return path.stat().st_size if path.is_file() else 0


def _problems(run: RunDirectory, folded: FoldedLedger) -> list[Problem]:
    outcomes = read_outcomes(run, folded)
    manifest = open_manifest(run)
    found: list[Problem] = []
    for name in LOG_NAMES:
        found += chain_problems(ChainedLog(run.log(name)), f"logs/{name}.log")
    found += folded.problems
    found += anchor_problems(run, folded)
    found += verdict_problems(run, folded)
    found += snapshot_problems(run, folded)
    found += sealed_problems(run, folded, outcomes)
    found += manifest_problems(run, folded, outcomes, manifest)
    found += artifact_problems(run, folded, outcomes, manifest)
    return found
