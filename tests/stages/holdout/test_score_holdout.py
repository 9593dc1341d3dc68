"""What the lock-box computes, against scikit-learn, and what the stages see of the patients put aside: nothing."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from stagewright.gates.cohort_obs import obs_in_scope
from stagewright.gates.protocol import Finding
from stagewright.stages.cohort.generate import generate_cohort
from stagewright.stages.cohort.load import load_cohort
from stagewright.stages.holdout.score import Configuration, score_patients
from stagewright.stages.survey import survey
from stagewright.state.artifacts import Outcome
from stagewright.state.canonical import data_bytes, digest_data, digest_file
from stagewright.state.holdout import HoldoutWish, kept_patients
from stagewright.state.records import SealedData
from stagewright.state.spec.data import DataScope
from stagewright.state.spec.downsampling import NoDownsampling
from stagewright.state.spec.normalisation import PearsonResiduals
from stagewright.state.spec.preprocess import AllFiltered
from stagewright.state.step_request import StepRequest
from stagewright.state.survey import SurveyRequest


class Study(Protocol):
    """The part of the fixtures' study that is used here."""

    run: Path
    data: SealedData

    def request(self, step: str, **changes: object) -> StepRequest:
        """Return the request of the next attempt."""
        ...

    def execute(self, step: str, **changes: object) -> Outcome:
        """Execute a step."""
        ...

    def judge(self, step: str) -> list[Finding]:
        """Run the gates on the newest attempt at a step."""
        ...


PUT_ASIDE = ("P02", "P05")
LABEL = "CN.label"


@pytest.fixture
def patients(built_in: SealedData) -> list[str]:
    return sorted(ad.read_h5ad(built_in.path).obs["patient"].astype(str).unique())


def scopes(scope: DataScope, patients: list[str]) -> tuple[DataScope, DataScope]:
    working = [name for name in patients if name not in PUT_ASIDE]
    return kept_patients(scope, working), kept_patients(scope, PUT_ASIDE)


def best(alpha: float = 1.0) -> Configuration:
    entry = AllFiltered(method="all_filtered", min_cells_fraction=0.02)
    return Configuration("x", entry, "pca", 3, 0.0, alpha, NoDownsampling(method="none"))


def test_the_score_agrees_with_scikit_learn(study: Study, patients: list[str]) -> None:
    """Genes, means, components and classifier come from the working patients; each patient put aside has its AUC."""
    request = study.request("C/plan1b")
    working, held = scopes(request.scope, patients)
    found = score_patients(request.model_copy(update={"scope": working}), held, best())

    data = ad.read_h5ad(study.data.path)
    counts = np.asarray(data.X.toarray(), dtype=np.float64)
    names = data.obs["patient"].astype(str).to_numpy()
    y = (data.obs[LABEL] == "cancer").to_numpy()
    own = ~np.isin(names, PUT_ASIDE)
    genes = (counts[own] > 0).sum(axis=0) >= 0.02 * own.sum()
    x = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)[:, genes]
    scaler = StandardScaler().fit(x[own])
    pca = PCA(3, svd_solver="full").fit(scaler.transform(x[own]))
    scores = pca.transform(scaler.transform(x))
    last = StandardScaler().fit(scores[own])
    model = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-10, max_iter=5000)
    model.fit(last.transform(scores[own]), y[own])
    decision = model.decision_function(last.transform(scores))
    oracle = [roc_auc_score(y[names == name], decision[names == name]) for name in PUT_ASIDE]
    np.testing.assert_allclose(found.auc, oracle, atol=0.02)  # a pair of cells, where the solvers differ in a digit
    assert found.n_cells == int(np.isin(names, PUT_ASIDE).sum())


def test_residuals_of_new_patients_are_by_the_shares_of_the_working_ones(study: Study, patients: list[str]) -> None:
    request = study.request("C/plan1b")
    working, held = scopes(request.scope, patients)
    effective = request.study.model_copy(update={"normalisation": PearsonResiduals(method="pearson_residuals")})
    found = score_patients(request.model_copy(update={"scope": working, "study": effective}), held, best())
    assert found.auc.shape == (2,)
    assert ((found.auc > 0.4) & (found.auc <= 1)).all()


@pytest.fixture(scope="module")
def two_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[SealedData, SealedData]:
    """Write a cohort twice: once as it is, once with other labels and counts of the patients put aside."""
    folder = tmp_path_factory.mktemp("two")
    path = folder / "cohort.h5ad"
    generate_cohort(path, seed=5, n_patients=8, cells_per_patient=60, n_genes=300)
    data = ad.read_h5ad(path)
    held = data.obs["patient"].isin(PUT_ASIDE).to_numpy()
    other = {"cancer": "normal", "normal": "cancer"}
    labels = data.obs[LABEL].astype(str).to_numpy(dtype=object)
    labels[held] = [other[label] for label in labels[held]]
    data.obs[LABEL] = pd.Categorical(labels)
    counts = data.X.toarray()
    counts[held] = counts[held][:, ::-1] + 1
    changed = ad.AnnData(X=type(data.X)(counts.astype(np.float32)), obs=data.obs, var=data.var)
    changed.write_h5ad(folder / "changed.h5ad")
    return tuple(
        SealedData(path=str(one), bytes=one.stat().st_size, sha256=digest_file(one))
        for one in (path, folder / "changed.h5ad")
    )  # type: ignore[return-value]


def test_no_artifact_depends_on_the_patients_put_aside(
    new_study: Callable[[str], Study], two_files: tuple[SealedData, SealedData], patients: list[str]
) -> None:
    """Byte for byte: whatever their labels and counts are, and none of their cells or names is in any table."""
    found = []
    for name, data in zip(("as_it_is", "changed"), two_files, strict=True):
        study = new_study(name)
        study.data = data
        scope = scopes(study.request("A/plan0").scope, patients)[0]
        found.append(
            {
                item.path: item.sha256
                for step in ("A/plan0", "A/plan1a", "A/plan1b")
                for item in study.execute(step, scope=scope).artifacts
            }
        )
        assert [finding for finding in study.judge("A/plan1b") if finding.severity in ("fail", "error")] == []
        embedded = next(study.run.rglob("adata_with_dr.h5ad"))
        assert set(ad.read_h5ad(embedded).obs["patient"].astype(str)) == set(patients) - set(PUT_ASIDE)
    assert found[0] == found[1]


def test_every_way_of_loading_leaves_them_out(
    study: Study, two_files: tuple[SealedData, SealedData], patients: list[str], tmp_path: Path
) -> None:
    """In memory and on the disk, h5ad and zarr; the gates' own reading too."""
    stored = tmp_path / "cohort.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which format anndata will write in future
        ad.read_h5ad(two_files[0].path).write_zarr(stored)
    for path in (Path(two_files[0].path), stored):
        data = SealedData(path=str(path), bytes=1, sha256="0" * 64)
        request = study.request("C/plan0", data=data)
        request = request.model_copy(update={"scope": scopes(request.scope, patients)[0]})
        of_gates = obs_in_scope(path, request.scope)
        assert set(of_gates["patient"]) == set(patients) - set(PUT_ASIDE)
        sealed = SealedData(path=str(path), bytes=data_bytes(path), sha256=digest_data(path))
        for memory in (2**32, 2**14):
            limits = request.limits.model_copy(update={"memory_bytes": memory})
            cohort = load_cohort(request.model_copy(update={"data": sealed, "limits": limits}), tmp_path)
            assert list(cohort.obs.index) == list(of_gates["cell"])
            assert sum(block.shape[0] for block in cohort.source.blocks()) == len(of_gates)


def test_the_survey_speaks_of_the_working_patients_alone(two_files: tuple[SealedData, SealedData]) -> None:
    """Whatever the labels of the others are; who they are stands in the draw, which goes to the lock-box."""
    scope = DataScope.model_validate(
        {
            "path": "cohort.h5ad",
            "patient": "patient",
            "label": {"column": LABEL, "positive": "cancer", "negative": "normal"},
            "timepoint": {"column": "timepoint_type", "keep": ["MRD"]},
            "filters": [{"column": "Tech", "keep": ["CITE"]}],
        }
    )
    path = two_files[0].path
    whole = survey(SurveyRequest(path=path, scope=scope))
    rest = survey(SurveyRequest(path=path, scope=scope, holdout=HoldoutWish(fraction=0.3)))
    assert rest.fault is None
    assert rest.holdout is not None
    assert {item.patient for item in rest.patients} | {*rest.holdout.patients} == {i.patient for i in whole.patients}
    assert rest.n_obs_in_scope + rest.holdout.n_cells == whole.n_obs_in_scope
    assert not any(name in rest.model_dump_json(exclude={"holdout"}) for name in rest.holdout.patients)
    data = ad.read_h5ad(path)
    kept = data.obs[~data.obs["patient"].isin(rest.holdout.patients)]
    assert rest.filters[0] == f"Tech: {len(kept)} -> {int((kept['Tech'] == 'CITE').sum())} cells"
