"""Units through the tools: real supervisor, worker and gates, and what a client is shown of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stagewright.state.artifacts import Artifact, Outcome, UnitRecord
from stagewright.tools import Workspace
from stagewright.tools.units_of_artifacts import units_of_artifacts

pytestmark = pytest.mark.usefixtures("look_here")

Call = Callable[..., dict[str, Any]]
GENES = [{"method": "all_filtered", "min_cells_fraction": 0.01}]


def _attempt(workspace: Workspace, run_id: str, number: int) -> Path:
    (folder,) = (workspace.run(run_id).path / "attempts").glob(f"{number:04d}_*")
    return folder


def _units(folder: Path) -> dict[str, str]:
    return {unit["name"]: unit["how"] for unit in json.loads((folder / "units.json").read_text())["units"]}


def test_a_blocked_step_keeps_what_is_done_and_goes_on_from_there(
    call: Call, plan: Callable[..., str], workspace: Workspace
) -> None:
    """The blocked attempt shows its units; after the adjustment they are reused, and the artifacts say so."""
    run_id = plan("plan0", preprocess=GENES, reduction={"methods": ["pca"], "k": [3, 61], "seeds": [1]})
    blocked = call("execute_stage", run_id=run_id, wait_s=120)
    assert blocked["status"] == "blocked", blocked
    assert _units(_attempt(workspace, run_id, 1))["pca/k_61/seed_1"] == "failed"
    failure = json.loads((_attempt(workspace, run_id, 1) / "failure.json").read_text())
    assert (failure["n_cells"], failure["n_genes"]) == (120, 60)
    assert failure["n_nonzero"] > 1000
    call("decide", run_id=run_id, decision="adjust", rationale="above the rank", adjustments={"k": [3, 4]})
    done = call("execute_stage", run_id=run_id, wait_s=120)
    assert done["status"] == "executed", done
    items = call("read_state", run_id=run_id, view="artifacts", limit=200)["items"]
    rows = {item["path"].partition("A/analysis/plan0/")[2]: item for item in items}
    genes = rows["gene_log.json"]
    assert (genes["unit"], genes["how"]) == ("all_filtered_0p01/genes", "reused")
    assert genes["why"] == "same inputs as attempt 1 of A/plan0"
    fit = rows["stability/pca/k_4/replicates/seed_1/scores.npy"]
    assert (fit["unit"], fit["how"], fit["why"]) == ("pca/k_4/seed_1", "ran", "no earlier result")
    assert "unit" not in rows["k_selection_summary.csv"]


def test_a_step_that_lost_a_unit_is_executed_and_judged(
    call: Call, plan: Callable[..., str], workspace: Workspace
) -> None:
    """With `budget.failed_units` the step is executed; the verdict warns of the unit, and continue is allowed."""
    run_id = plan(
        "plan0",
        preprocess=GENES,
        reduction={"methods": ["pca"], "k": [3, 61], "seeds": [1]},
        budget={"failed_units": 0.3},
    )
    assert call("execute_stage", run_id=run_id, wait_s=120)["status"] == "executed"
    assert workspace.ledger(run_id).read().k_by_method == {"pca": 3}
    judged = call("validate_stage", run_id=run_id)
    assert judged["verdict"] == "warn", judged
    items = call("read_state", run_id=run_id, view="gates")["items"]
    (told,) = (item for item in items if item["severity"] != "pass")
    assert (told["gate"], told["subject"]) == ("failed_units", "pca/k_61/seed_1")
    assert "ValueError" in told["measured"]
    assert call("decide", run_id=run_id, decision="continue", rationale="one K is enough")["status"] == "planned"


def test_an_artifact_of_several_units_ran_if_one_of_them_did() -> None:
    """A file of embeddings names what went into it, and why the first that ran had to."""
    file = Artifact(path="A/x.h5ad", format="h5ad", bytes=1, sha256="0" * 64)
    units = tuple(
        UnitRecord(name=f"u{number}", how="reused", why=f"same {number}", artifacts=(file.path,)) for number in range(5)
    )
    outcome = Outcome(step="A/plan1a", attempt=1, artifacts=(file,), units=units)
    assert units_of_artifacts(outcome)[file.path] == {"unit": "u0, u1, u2 and 2 more", "how": "reused", "why": "same 0"}
    ran = units[3].model_copy(update={"how": "ran", "why": "k 3 -> 4"})
    mixed = outcome.model_copy(update={"units": (*units[:3], ran, units[4])})
    assert units_of_artifacts(mixed)[file.path] == {"unit": "u0, u1, u2 and 2 more", "how": "ran", "why": "k 3 -> 4"}
