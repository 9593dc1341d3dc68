"""Plan 1B with `cv.group`: whole groups are left out, the gates check it, and the group is part of the cache's key."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false, reportCallIssue=false

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from stagewright.state.artifacts import Outcome
from stagewright.state.refusals import Refusal
from stagewright.state.spec import Adjustments, effective_study, parse_spec

Study = Any  # the fixture's class, which lives in conftest.py
SPEC: dict[str, Any] = {
    "objective": "test",
    "data": {
        "path": "cohort.h5ad",
        "patient": "patient",
        "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
        "columns": {"cell_type": "predicted.annotation"},
    },
    "preprocess": [{"method": "all_filtered", "min_cells_fraction": 0.02}],
    "reduction": {"methods": ["pca"], "k": [3], "seeds": [1]},
    "classifier": {"alphas": [1.0], "cv": {"folds": 3, "repeats": 2}},
}


def _changes(group: str) -> dict[str, Any]:
    cv = SPEC["classifier"]["cv"] | {"group": group}
    spec = parse_spec(SPEC | {"classifier": SPEC["classifier"] | {"cv": cv}})
    return {"study": effective_study(spec, Adjustments(), "B"), "scope": spec.data}


def test_no_group_lies_on_both_sides_of_a_fold(study: Study, how: Callable[[Outcome], dict[str, str]]) -> None:
    """Cells of one annotation are predicted by models that saw none of it; the AUC follows from those predictions."""
    for step in ("B/plan0", "B/plan1a", "B/plan1b"):
        study.execute(step, **_changes("none"))
    cell = study.run / "B/analysis/classification_grid/all_filtered_0p02/pca"
    loose = pd.read_csv(cell / "metrics.csv").set_index("patient")["auc_mean"]
    outcome = study.execute("B/plan1b", **_changes("predicted.annotation"))
    assert set(how(outcome).values()) == {"ran"}
    table = pd.read_parquet(cell / "oof_predictions.parquet")
    obs = _annotations(study)
    table["group"] = table["cell"].map(obs)
    folds = table.groupby(["patient", "repeat", "group"])["fold"].nunique()
    assert folds.max() == 1
    metrics = pd.read_csv(cell / "metrics.csv").set_index("patient")
    assert len(metrics)
    for patient, rows in table.groupby("patient"):
        aucs = [roc_auc_score(one["label"], one["decision"]) for _, one in rows.groupby("repeat")]
        assert metrics.loc[patient, "auc_mean"] == pytest.approx(np.mean(aucs), abs=1e-9)
    assert (metrics["auc_mean"] != loose.reindex(metrics.index)).any()
    assert {finding.severity for finding in study.judge("B/plan1b")} <= {"pass", "warn"}


def _annotations(study: Study) -> pd.Series:
    import anndata  # noqa: PLC0415 - heavy

    data = anndata.read_h5ad(study.run / "B/analysis/preprocess_cache/all_filtered_0p02/adata_with_dr.h5ad")
    return data.obs["predicted.annotation"].astype(str)


def test_a_group_column_has_to_be_loaded() -> None:
    """The fault says how."""
    with pytest.raises((Refusal, ValidationError), match=r"name it under data\.columns"):
        _changes("clone")
