"""Plan 0, 1A and 1B as stages, on a small built-in cohort, against scikit-learn."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from stagewright.stages import plan0, plan1a, plan1b
from stagewright.stages.catalogue import metric_names
from stagewright.stages.cohort.generate import generate_cohort
from stagewright.stages.progress import Progress
from stagewright.stages.protocol import StageContext, StageResult
from stagewright.state.artifacts import ArtifactWriter, Outcome, read_outcome
from stagewright.state.canonical import digest_file
from stagewright.state.publishing import publish
from stagewright.state.records import ArtifactSeal, Limits, SealedData
from stagewright.state.spec import Adjustments, GoalSpec, effective_study, parse_spec
from stagewright.state.step_request import StepRequest

HVG, FILTERED = "hvg_150", "all_filtered_0p02"
METHODS = ("pca", "fa", "nmf", "cnmf")
SPEC = {
    "objective": "test",
    "data": {
        "path": "cohort.h5ad",
        "patient": "patient",
        "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
        "timepoint": {"column": "timepoint_type", "keep": ["MRD"]},
    },
    "preprocess": [{"method": "hvg", "n_top_genes": 150}, {"method": "all_filtered", "min_cells_fraction": 0.02}],
    "reduction": {
        "methods": [*METHODS],
        "k": [3, 5],
        "seeds": [1, 2],
        "cnmf": {"replicates": 3, "density_threshold": 2},
    },
    "classifier": {"alphas": {"logspace": [-2, 2, 5]}, "cv": {"folds": 3, "repeats": 2}},
}


@dataclass(frozen=True)
class Study:
    """A study's spec and data, and the folder of a run that `execute` fills."""

    run: Path
    spec: GoalSpec
    data: SealedData

    def execute(
        self,
        stage: Callable[[StageContext], StageResult],
        name: str,
        *,
        workers: int,
        k_by_method: dict[str, int],
        upstream: dict[str, ArtifactSeal],
    ) -> tuple[StageResult, ArtifactSeal]:
        """Run one stage at checkpoint C and publish its artifacts."""
        number = len(upstream) + 1
        attempt = self.run / "attempts" / f"{number:04d}_C_{name}"
        (attempt / "staging").mkdir(parents=True)
        limits = Limits(runtime_s=60, memory_bytes=2**30, retries=0)
        request = StepRequest(
            run_id="test",
            step=f"C/{name}",
            attempt=number,
            data=self.data,
            scope=self.spec.data,
            study=effective_study(self.spec, Adjustments(), "C"),
            k_by_method=k_by_method,
            upstream=upstream,
            limits=limits,
            caps=limits,
            workers=workers,
        )
        writer = ArtifactWriter(attempt / "staging")
        result = stage(StageContext(self.run, request, writer, Progress(attempt / "progress.json", 1)))
        outcome = Outcome(step=request.step, attempt=number, artifacts=writer.artifacts(), skipped=result.skipped)
        kept = [item.path for sealed in upstream.values() for item in read_outcome(self.run, sealed).artifacts]
        return result, publish(self.run, attempt, outcome, kept=kept)


def _study(folder: Path, cohort: Path, workers: int) -> tuple[Study, list[StageResult]]:
    data = SealedData(path=str(cohort), bytes=cohort.stat().st_size, sha256=digest_file(cohort))
    study = Study(folder, parse_spec(SPEC), data)
    first, seal0 = study.execute(plan0.run, "plan0", workers=workers, k_by_method={}, upstream={})
    upstream = {"C/plan0": seal0}
    chosen = first.k_by_method
    second, seal1 = study.execute(plan1a.run, "plan1a", workers=workers, k_by_method=chosen, upstream=upstream)
    upstream |= {"C/plan1a": seal1}
    third, _ = study.execute(plan1b.run, "plan1b", workers=workers, k_by_method=chosen, upstream=upstream)
    return study, [first, second, third]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small built-in cohort."""
    path = tmp_path_factory.mktemp("data") / "cohort.h5ad"
    generate_cohort(path, seed=3, n_patients=8, cells_per_patient=120, n_genes=500)
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> tuple[Study, list[StageResult]]:
    """Run the three stages with one worker."""
    return _study(tmp_path_factory.mktemp("run"), cohort, 1)


def test_plan0_reports_every_k_and_chooses_one(done: tuple[Study, list[StageResult]]) -> None:
    """Each method and K has a row; PCA is fitted once and has no seed stability; one K of each method is chosen."""
    study, results = done
    table = pd.read_csv(study.run / "C/analysis/plan0/k_selection_summary.csv")
    assert list(zip(table["method"], table["k"], strict=True)) == [(method, k) for method in METHODS for k in (3, 5)]
    n_seeds = table.set_index("method")["n_seeds"].groupby(level=0).first().to_dict()
    assert n_seeds == {"pca": 1, "fa": 2, "nmf": 2, "cnmf": 2}
    assert table.loc[table["method"] == "pca", "stability_median"].isna().all()
    assert table.loc[table["method"] != "pca", "stability_median"].between(0, 1).all()
    assert (table["stability_median"].isna() | (table["stability_median"] > table["stability_chance"])).all()
    assert table["held_out_r2"].between(0, table["explained"]).all()
    assert table["held_out_log_likelihood"].isna().equals(table["method"].isin(["nmf", "cnmf"]))
    assert all(table[name].between(0, 1).all() for name in ("sparsity", "orthogonality", "effective_rank"))
    chosen = table[table["chosen"]].set_index("method")["k"].to_dict()
    assert chosen == results[0].k_by_method


def test_plan0_writes_the_curves_of_consensus_nmf(done: tuple[Study, list[StageResult]]) -> None:
    """One row for each fit: the silhouette of the replicates' components, and an error that falls with K."""
    study, _ = done
    table = pd.read_csv(study.run / "C/analysis/plan0/stability/cnmf/k_selection_stats.csv")
    assert list(zip(table["k"], table["replicate"], strict=True)) == [(3, 1), (3, 2), (5, 1), (5, 2)]
    assert table["stability"].between(-1, 1).all()
    assert table[table["k"] == 5]["prediction_error"].max() < table[table["k"] == 3]["prediction_error"].min()


def test_the_pca_embedding_is_that_of_scikit_learn(done: tuple[Study, list[StageResult]]) -> None:
    """Scores agree with PCA of the standardised expression in the same file, up to sign, to 1e-3 of their scale."""
    study, _ = done
    data = ad.read_h5ad(study.run / f"C/analysis/preprocess_cache/{HVG}/adata_with_dr.h5ad")
    ours = np.asarray(data.obsm["X_pca"], dtype=float)
    expression = StandardScaler().fit_transform(data.X.toarray().astype(float))
    theirs = PCA(n_components=ours.shape[1], svd_solver="full").fit_transform(expression)
    signs = np.sign((ours * theirs).sum(axis=0))
    assert np.abs(ours - theirs * signs).max() < 1e-3 * np.abs(theirs).max()


@pytest.mark.parametrize("tag", [HVG, FILTERED])
def test_the_file_holds_an_embedding_for_each_method(done: tuple[Study, list[StageResult]], tag: str) -> None:
    """Scores in obsm and loadings in varm at the chosen K; obs has the columns of the spec and no other."""
    study, results = done
    data = ad.read_h5ad(study.run / f"C/analysis/preprocess_cache/{tag}/adata_with_dr.h5ad")
    assert {name: array.shape[1] for name, array in data.obsm.items()} == {
        f"X_{method}": k for method, k in results[0].k_by_method.items()
    }
    assert set(data.varm) == {f"{method}_loadings" for method in METHODS}
    depth = {"stagewright_library_size", "stagewright_detected_genes"}
    assert set(data.obs) == {"patient", "CN.label", "timepoint_type", *depth}
    assert json.loads(data.uns["stagewright"])["step"] == "C/plan1a"


@pytest.mark.parametrize("method", METHODS)
def test_the_auc_follows_from_the_written_predictions(done: tuple[Study, list[StageResult]], method: str) -> None:
    """scikit-learn's AUC of the out-of-fold predictions, mean over repeats, is the AUC in the table."""
    study, _ = done
    folder = study.run / f"C/analysis/classification_grid/{HVG}/{method}"
    predictions = pd.read_parquet(folder / "oof_predictions.parquet")
    table = pd.read_csv(folder / "metrics.csv")
    for patient, part in predictions.groupby("patient"):
        repeats = [roc_auc_score(one["label"], one["decision"]) for _, one in part.groupby("repeat")]
        rows = table[table["patient"] == patient]
        written = rows["auc_mean"].to_numpy()[np.isclose(rows["alpha"], part["alpha"].iloc[0])]
        assert written == pytest.approx([np.mean(repeats)], abs=1e-12)


def test_every_cell_is_scored_once_per_repeat_and_never_by_its_own_fold(
    done: tuple[Study, list[StageResult]],
) -> None:
    """The folds are the same in every configuration, and each patient's cells are all there."""
    study, _ = done
    grid = study.run / "C/analysis/classification_grid"
    keys = ["patient", "cell", "repeat"]
    folds = [
        pd.read_parquet(grid / tag / method / "oof_predictions.parquet").set_index(keys)["fold"].sort_index()
        for tag in (HVG, FILTERED)
        for method in METHODS
    ]
    assert folds[0].index.is_unique
    assert all(other.equals(folds[0]) for other in folds[1:])


def test_the_decoy_is_ridge_on_depth_in_the_same_folds(done: tuple[Study, list[StageResult]]) -> None:
    """scikit-learn's fit of log library size and log detected genes gives the written decisions; so does the metric."""
    study, results = done
    grid = study.run / "C/analysis/classification_grid"
    obs = ad.read_h5ad(study.run / f"C/analysis/preprocess_cache/{HVG}/adata_with_dr.h5ad").obs
    depth = np.log1p(obs[["stagewright_library_size", "stagewright_detected_genes"]])
    decoy = pd.read_parquet(grid / "decoy_oof.parquet")
    patient = decoy["patient"].iloc[0]
    one = decoy[(decoy["patient"] == patient) & (decoy["repeat"] == 1)]
    features, label = depth.loc[one["cell"]].to_numpy(float), one["label"].to_numpy()
    for fold in range(3):
        test = (one["fold"] == fold).to_numpy()
        scale = StandardScaler().fit(features[~test])
        ridge = LogisticRegression(C=1 / one["alpha"].iloc[0], class_weight="balanced", tol=1e-10, max_iter=1000)
        ridge.fit(scale.transform(features[~test]), label[~test])
        found = ridge.decision_function(scale.transform(features[test]))
        np.testing.assert_allclose(one["decision"][test], found, atol=1e-4)
    keys = ["patient", "cell", "repeat", "fold", "label"]
    beside = pd.read_parquet(grid / HVG / "pca/oof_predictions.parquet")
    assert decoy[keys].equals(beside[keys])
    table = pd.read_csv(grid / "decoy.csv")
    assert results[2].metrics["plan1b.decoy.auc"] == pytest.approx(table["auc_mean"].median())


def test_the_winner_without_each_patient_is_counted(done: tuple[Study, list[StageResult]]) -> None:
    """The metric follows from the tables by the rule as the page of the goal spec tells it."""
    study, results = done
    grid = study.run / "C/analysis/classification_grid"
    scores = {
        (tag, method): pd.read_csv(grid / tag / method / "metrics.csv").pivot_table(
            index="patient", columns="alpha", values="auc_mean"
        )
        for tag in (HVG, FILTERED)
        for method in METHODS
    }
    winner = max(scores, key=lambda key: scores[key].median().max())
    patients = scores[winner].index
    without = [{key: table.drop(index=patient).median().max() for key, table in scores.items()} for patient in patients]
    wins = [medians[winner] >= max(medians.values()) - 1e-12 for medians in without]
    assert results[2].metrics["plan1b.best.winner_stability"] == pytest.approx(np.mean(wins))


def test_a_patient_without_a_result_has_a_reason(done: tuple[Study, list[StageResult]]) -> None:
    """The single-class patient is skipped in every configuration, and every other patient is scored."""
    study, results = done
    skipped = {item.patient: item.reason for item in results[2].skipped}
    scored = set(pd.read_csv(study.run / f"C/analysis/classification_grid/{HVG}/pca/metrics.csv")["patient"])
    assert len(scored) + len(skipped) == 8
    assert any("single class" in reason or "only one class" in reason for reason in skipped.values()), skipped


def test_the_stages_report_the_metrics_that_planning_knows(done: tuple[Study, list[StageResult]]) -> None:
    """A stop criterion on any other name is refused at planning, so the names have to agree exactly."""
    study, results = done
    for stage, result in zip(("plan0", "plan1a", "plan1b"), results, strict=True):
        unstable = {"plan0.pca.stability_median"}  # exact PCA has no seed stability
        assert set(metric_names(stage, study.spec)) - unstable == set(result.metrics)


def test_results_do_not_depend_on_the_number_of_workers(
    done: tuple[Study, list[StageResult]],
    tmp_path: Path,
    cohort: Path,
) -> None:
    """Three workers write the same bytes as one, file for file; only AnnData files may differ in their metadata."""
    one, _ = done
    three, _ = _study(tmp_path, cohort, 3)
    for path in sorted((one.run / "C").rglob("*")):
        if path.is_file() and path.suffix != ".h5ad":
            other = three.run / path.relative_to(one.run)
            assert path.read_bytes() == other.read_bytes(), path.name


def test_changed_embeddings_are_not_used(tmp_path: Path, cohort: Path) -> None:
    """Plan 1B refuses an AnnData file that is not the one that Plan 1A sealed."""
    study, results = _study(tmp_path, cohort, 1)
    path = study.run / f"C/analysis/preprocess_cache/{HVG}/adata_with_dr.h5ad"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    attempts = study.run / "attempts"
    outcomes = {
        "C/plan0": attempts / "0001_C_plan0/outcome.json",
        "C/plan1a": attempts / "0002_C_plan1a/outcome.json",
    }
    upstream = {
        step: ArtifactSeal(
            outcome=listing.relative_to(study.run).as_posix(),
            outcome_sha256=digest_file(listing),
            count=1,
            bytes=1,
        )
        for step, listing in outcomes.items()
    }
    (study.run / "attempts/0003_C_plan1b").rename(tmp_path / "aside")
    with pytest.raises(ValueError, match="was changed after C/plan1a sealed it"):
        study.execute(plan1b.run, "plan1b", workers=1, k_by_method=results[0].k_by_method, upstream=upstream)
