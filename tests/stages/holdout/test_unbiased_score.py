"""An agent that picks the best of 100 configurations on labels without any signal: what each score then says."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from stagewright.stages.classify.fold_prediction import predict_left_out
from stagewright.stages.classify.folds import stratified_folds
from stagewright.stages.classify.metrics import roc_auc
from stagewright.stages.holdout.score import Configuration, score_patients
from stagewright.stages.survey import survey
from stagewright.state.canonical import digest_file
from stagewright.state.holdout import HoldoutWish, kept_patients
from stagewright.state.records import Limits, SealedData
from stagewright.state.spec import Adjustments, effective_study, parse_spec
from stagewright.state.spec.downsampling import NoDownsampling
from stagewright.state.spec.preprocess import AllFiltered
from stagewright.state.step_request import StepRequest
from stagewright.state.survey import SurveyRequest

COHORTS = 60
PATIENTS, CELLS, GENES = 8, 24, 40
KS, ALPHAS, FILTERS = (2, 3, 4, 6, 8), (0.1, 0.3, 1.0, 3.0, 10.0), (0.01, 0.3, 0.4, 0.5)
LIMITS = Limits(runtime_s=600, memory_bytes=2**32, retries=0)
SPEC = {
    "objective": "is there anything?",
    "data": {
        "path": "cohort.h5ad",
        "patient": "patient",
        "label": {"column": "label", "positive": "a", "negative": "b"},
    },
    "reduction": {"methods": ["pca"], "k": [2], "seeds": [1]},
}


def null_cohort(path: Path, seed: int) -> SealedData:
    """Write counts in which patients differ and classes do not."""
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(PATIENTS), CELLS)
    rates = np.exp(rng.normal(-0.5, 0.7, GENES) + rng.normal(0, 0.3, (PATIENTS, GENES)))
    counts = rng.poisson(rates[patients]).astype(np.float32)
    labels = np.concatenate([rng.permutation(["a", "b"] * (CELLS // 2)) for _ in range(PATIENTS)])
    index = [f"s{seed}_c{cell}" for cell in range(len(patients))]
    obs = pd.DataFrame({"patient": [f"p{one}" for one in patients], "label": labels}, index=index).astype("category")
    ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=[f"g{g}" for g in range(GENES)])).write_h5ad(
        path
    )
    return SealedData(path=str(path), bytes=path.stat().st_size, sha256=digest_file(path))


def cross_validated(data: ad.AnnData, working: list[str], k: int, least: float) -> np.ndarray:
    """Return, for each strength, the median over working patients of their cross-validated AUC."""
    x = np.log1p(data.X.toarray() / data.X.sum(axis=1) * 1e4)
    x = np.asarray(x)[:, np.asarray((data.X > 0).mean(axis=0)).ravel() >= least]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    scores, y = u[:, :k] * s[:k], (data.obs["label"] == "a").to_numpy()
    names, aucs = data.obs["patient"].astype(str).to_numpy(), []
    for number, name in enumerate(working):
        rows = np.flatnonzero(names == name)
        folds = stratified_folds(y[rows], 4, number)
        decision = np.empty((rows.size, len(ALPHAS)))
        for fold in range(4):
            out = folds == fold
            (found,) = predict_left_out(scores[rows], y[rows], ~out, out, np.asarray(ALPHAS), [1.0])
            decision[out] = found.decision
        aucs.append(roc_auc(decision, y[rows]))
    return np.median(aucs, axis=0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_hold_out_is_unbiased_where_the_best_of_100_is_not(tmp_path: Path) -> None:
    """Over 60 null cohorts: the best cross-validated score lies above 0.5, the hold-out's within its standard error.

    Each cohort has another draw of patients, as planning makes it. 100 configurations: 5 K x 5 strengths x 4 filters.
    """
    best_cv, held_out = [], []
    spec = parse_spec(SPEC)
    for seed in range(COHORTS):
        sealed = null_cohort(tmp_path / f"{seed}.h5ad", seed)
        found = survey(SurveyRequest(path=sealed.path, scope=spec.data, holdout=HoldoutWish(fraction=0.5)))
        assert found.holdout is not None
        working = [item.patient for item in found.patients]
        data = ad.read_h5ad(sealed.path)
        data = data[data.obs["patient"].isin(working)].copy()
        tried = [
            (auc, k, alpha, least)
            for k in KS
            for least in FILTERS
            for alpha, auc in zip(ALPHAS, cross_validated(data, working, k, least), strict=True)
        ]
        assert len(tried) == 100
        auc, k, alpha, least = max(tried)
        best_cv.append(auc)
        entry = AllFiltered(method="all_filtered", min_cells_fraction=least)
        request = StepRequest(
            run_id="null",
            step="C/plan1b",
            attempt=1,
            data=sealed,
            scope=kept_patients(spec.data, working),
            study=effective_study(spec, Adjustments(), "C"),
            k_by_method={"pca": k},
            upstream={},
            limits=LIMITS,
            caps=LIMITS,
            workers=1,
        )
        what = Configuration("best", entry, "pca", k, 1.0, alpha, NoDownsampling(method="none"))
        score = score_patients(request, kept_patients(spec.data, found.holdout.patients), what)
        held_out.append(float(np.median(score.auc)))
    error = float(np.std(held_out, ddof=1) / np.sqrt(COHORTS))
    assert abs(float(np.mean(held_out)) - 0.5) < 2.58 * error
    assert float(np.mean(best_cv)) > 0.56
    assert error < 0.02
