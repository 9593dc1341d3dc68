"""Every preprocess and scale through the stages themselves, on the small built-in cohort."""

import json
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.io import read_elem
from pydantic import TypeAdapter

from stagewright.stages.protocol import UnitFailed
from stagewright.state.artifacts import Outcome
from stagewright.state.canonical import digest_file
from stagewright.state.layout import gene_list_file
from stagewright.state.spec.normalisation import Normalisation
from stagewright.state.spec.preprocess import Preprocess
from stagewright.state.spec.reduction import HeldOut

ENTRIES: list[dict[str, Any]] = [
    {"method": "deg_weak_screen", "min_genes": 40},
    {"method": "deg_weak_screen", "min_genes": 40, "within": "patient"},
    {"method": "hybrid", "n_top_genes": 60, "min_cells_fraction": 0.2, "enrichment_ratio": 2},
    {"method": "two_stage", "n_top_genes": 50, "n_hvg": 30},
    {"method": "gene_list", "path": "sets.gmt", "sets": ["markers"]},
    {"method": "all_filtered", "min_cells_fraction": 0.05, "noise_filter": {"mean_quantile": 0.9}},
]
PREPROCESS: TypeAdapter[tuple[Preprocess, ...]] = TypeAdapter(tuple[Preprocess, ...])
SCALE: TypeAdapter[Normalisation] = TypeAdapter(Normalisation)
K = {"pca": 3, "fa": 3}


def _plan1a(study: Any, entries: list[dict[str, Any]], scale: dict[str, Any]) -> Outcome:  # noqa: ANN401 - conftest's
    """Run Plan 1A without a Plan 0 before it, on some preprocesses and a scale."""
    request = study.request("C/plan1a")
    settings = {"preprocess": PREPROCESS.validate_python(entries), "normalisation": SCALE.validate_python(scale)}
    changes = {"study": request.study.model_copy(update=settings), "k_by_method": K, "data": study.data}
    return study.work(request.model_copy(update=changes))


def test_each_preprocess_runs_and_says_which_gene_came_by_which_rule(study: Any) -> None:  # noqa: ANN401 - conftest's
    """Each has its gene log and its embeddings; planted markers of malignant cells are chosen."""
    with h5py.File(study.data.path) as file:
        names = read_elem(file["var"])
        planted = names.index[names["programme"].str.startswith("malignant")]
    gmt = study.run / "raw.gmt"
    gmt.write_text(f"markers\tplanted\t{chr(9).join(planted[:8])}\tNOT_THERE\nother\t-\tALSO_NOT\n", encoding="utf-8")
    digest = digest_file(gmt)
    sealed = study.run / gene_list_file(digest)
    sealed.parent.mkdir()
    gmt.rename(sealed)
    study.data = study.data.model_copy(update={"gene_lists": {"sets.gmt": digest}})
    _plan1a(study, ENTRIES, {"method": "log1p"})
    found = {}
    for entry in PREPROCESS.validate_python(ENTRIES):
        folder = study.run / "C/analysis/preprocess_cache" / entry.tag
        log = json.loads((folder / "gene_log.json").read_text())
        data = ad.read_h5ad(folder / "adata_with_dr.h5ad")
        assert log["genes"] == [*data.var_names]
        assert log["supervised"] is entry.supervised
        assert data.obsm["X_pca"].shape == (data.n_obs, 3)
        kept = set(log["genes"])
        assert all(kept & set(genes) for genes in log["by_rule"].values() if genes) or not entry.supervised
        found[entry.tag] = log
    both, within, hybrid, two_stage, listed, filtered = found.values()
    for log in (both, within):
        by_rule = log["by_rule"]
        assert {*by_rule["passed_thresholds"], *by_rule["filled_by_rank"]} == set(log["genes"])
        assert len(set(planted) & set(log["genes"][:])) >= 0.5 * len(planted)
    assert within["log"]["n_strata_compared"] < both["log"]["n_positive_cells"]
    assert {*hybrid["by_rule"]["highly_variable"], *hybrid["by_rule"]["rescued"]} == set(hybrid["genes"])
    assert (len(two_stage["by_rule"]["by_variability"]), len(two_stage["by_rule"]["by_label"])) == (30, 20)
    assert listed["log"]["n_genes_not_in_data"] == 1
    assert set(listed["genes"]) <= set(planted[:8])
    assert filtered["log"]["noise_filter"]["n_genes_removed"] == len(filtered["by_rule"]["removed_as_noise"])


def test_a_gene_list_that_was_changed_after_planning_is_not_used(study: Any) -> None:  # noqa: ANN401 - conftest's
    """The copy in the run is compared with its seal, and a list that was never sealed is refused."""
    entry = [{"method": "gene_list", "path": "sets.gmt"}]
    with pytest.raises(UnitFailed) as caught:
        _plan1a(study, entry, {"method": "log1p"})
    assert "was not sealed when the run was planned" in str(caught.value.__cause__)
    study.data = study.data.model_copy(update={"gene_lists": {"sets.gmt": "0" * 64}})
    with pytest.raises(UnitFailed) as caught:
        _plan1a(study, entry, {"method": "log1p"})
    assert "is gone or changed" in str(caught.value.__cause__)


@pytest.mark.parametrize("method", ["library_size", "none", "pearson_residuals"])
def test_each_scale_runs_and_is_recorded(study: Any, method: str) -> None:  # noqa: ANN401 - conftest's
    """The embeddings are of that scale: none equals that of log1p; what X holds is said."""
    entry = [{"method": "all_filtered", "min_cells_fraction": 0.05}]
    path = study.run / "C/analysis/preprocess_cache/all_filtered_0p05/adata_with_dr.h5ad"
    _plan1a(study, entry, {"method": "log1p"})
    logs = ad.read_h5ad(path)
    _plan1a(study, entry, {"method": method})
    data = ad.read_h5ad(path)
    said = json.loads(data.uns["stagewright"])
    assert said["x"] == ("counts" if method == "pearson_residuals" else "normalised")
    assert said["normalisation"] != json.loads(logs.uns["stagewright"])["normalisation"]
    # Of the same cells, so alike, but another scale: the first component agrees and is not the same.
    match = abs(np.corrcoef(logs.obsm["X_pca"][:, 0], data.obsm["X_pca"][:, 0])[0, 1])
    assert 0.1 < match < 0.99999
    whole = method in ("none", "pearson_residuals")
    assert bool(np.all(data.X.data == np.rint(data.X.data))) is whole


@pytest.mark.parametrize("replicates", ["seed", "bootstrap_cells"])
def test_plan0_chooses_k_on_residuals(study: Any, replicates: str) -> None:  # noqa: ANN401 - conftest's
    """Replicates, bootstrap samples and the prediction of held-out cells all go by blocks of residuals."""
    request = study.request("C/plan0")
    changes = {
        "normalisation": SCALE.validate_python({"method": "pearson_residuals"}),
        "replicates": replicates,
        "held_out": HeldOut(),
    }
    outcome = study.work(request.model_copy(update={"study": request.study.model_copy(update=changes)}))
    assert set(outcome.k_by_method) == {"pca", "fa"}
    table = pd.read_csv(study.run / "C/analysis/plan0/k_selection_summary.csv")
    assert table["held_out_r2"].between(0, 1).all()
