"""The built-in cohort keeps its promises: structure, determinism, and programmes that can be found again."""

import hashlib
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import NMF

from stagewright.stages.cohort.generate import generate_cohort

SMALL = {"n_patients": 8, "cells_per_patient": 60, "n_genes": 400}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> anndata.AnnData:
    path = tmp_path_factory.mktemp("cohort") / "cohort.h5ad"
    generate_cohort(path)
    return anndata.read_h5ad(path)


def array_digest(path: Path) -> str:
    """Digest every array of a small cohort."""
    data = anndata.read_h5ad(path)
    parts = [data.X.data, data.X.indices, data.X.indptr, data.varm["programme_weights"]]
    parts += [data.obs[name].cat.codes.to_numpy() for name in data.obs]
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """Two files of one seed agree array by array, byte for byte; another seed gives another cohort."""
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        generate_cohort(tmp_path / name, seed=seed, **SMALL)
    assert array_digest(tmp_path / "one") == array_digest(tmp_path / "two")
    assert array_digest(tmp_path / "one") != array_digest(tmp_path / "other")


def test_counts_are_sparse_whole_numbers(cohort: anndata.AnnData) -> None:
    """X is CSR float32 of whole numbers, 8 to 12 % non-zero, and cells differ in depth."""
    assert isinstance(cohort.X, sparse.csr_matrix)
    assert cohort.X.dtype == np.float32
    assert np.array_equal(cohort.X.data, np.rint(cohort.X.data))
    assert cohort.X.data.min() >= 1
    assert 0.08 <= cohort.X.nnz / (cohort.n_obs * cohort.n_vars) <= 0.12
    depth = np.asarray(cohort.X.sum(axis=1)).ravel()
    assert 0.3 <= np.std(np.log(depth)) <= 0.8


def test_obs_holds_the_promised_columns(cohort: anndata.AnnData) -> None:
    """Obs has the columns and levels of the goal spec's example, and unique names."""
    assert list(cohort.obs) == ["patient", "CN.label", "timepoint_type", "Tech", "source", "predicted.annotation"]
    assert set(cohort.obs["CN.label"]) == {"cancer", "normal"}
    assert set(cohort.obs["timepoint_type"]) == {"Dx", "MRD"}
    assert set(cohort.obs["Tech"]) == {"CITE", "RNA"}
    assert cohort.obs["patient"].nunique() == 10
    assert cohort.obs_names.is_unique
    assert cohort.var_names.is_unique
    assert cohort.shape == (3_600, 2_400)


def test_technologies_differ_in_depth(cohort: anndata.AnnData) -> None:
    """RNA cells have between 1.4 and 2.2 times the transcripts of CITE cells, in the median."""
    depth = pd.Series(np.asarray(cohort.X.sum(axis=1)).ravel(), index=cohort.obs_names)
    median = depth.groupby(cohort.obs["Tech"], observed=True).median()
    assert 1.4 <= median["RNA"] / median["CITE"] <= 2.2


@pytest.mark.parametrize("kept", [{}, {"timepoint_type": "MRD"}, {"timepoint_type": "MRD", "Tech": "CITE"}])
def test_two_patients_are_awkward_whatever_the_filters(cohort: anndata.AnnData, kept: dict[str, str]) -> None:
    """One patient has one class, one has four malignant cells, and the other eight can be split into five folds."""
    obs = cohort.obs
    for column, level in kept.items():
        obs = obs[obs[column] == level]
    malignant = (obs["CN.label"] == "cancer").groupby(obs["patient"], observed=True).sum()
    normal = (obs["CN.label"] == "normal").groupby(obs["patient"], observed=True).sum()
    simulation = cohort.uns["simulation"]
    assert malignant[simulation["single_class_patient"]] == 0
    assert malignant[simulation["few_malignant_patient"]] == 4
    others = malignant.drop([simulation["single_class_patient"], simulation["few_malignant_patient"]])
    assert len(others) == 8
    assert others.min() >= 10
    assert normal.min() >= 10


def test_annotation_leaks_part_of_the_label(cohort: anndata.AnnData) -> None:
    """The blast annotation is mostly malignant cells, yet many malignant cells do not carry it."""
    blast = cohort.obs["predicted.annotation"] == "AML blast"
    malignant = cohort.obs["CN.label"] == "cancer"
    assert malignant[blast].mean() > 0.85
    assert 0.5 < blast[malignant].mean() < 0.7


def test_programmes_can_be_found_again(cohort: anndata.AnnData) -> None:
    """NMF of the normalised counts finds each of the ten planted programmes: matched cosine at least 0.8 each.

    Three components more than there are programmes: the baseline and the patients take some.
    """
    weights = cohort.varm["programme_weights"]
    depth = np.asarray(cohort.X.sum(axis=1)).ravel()
    scaled = sparse.diags(np.median(depth) / depth) @ cohort.X
    spread = np.sqrt(np.asarray(scaled.power(2).mean(axis=0) - np.square(scaled.mean(axis=0))).ravel())
    model = NMF(n_components=weights.shape[1] + 3, init="nndsvd", random_state=0, tol=1e-3, max_iter=300)
    model.fit(sparse.csr_matrix(scaled @ sparse.diags(1.0 / np.maximum(spread, 0.05))))
    found = model.components_ * np.maximum(spread, 0.05)
    # Within the genes of the programmes: the baseline is in every component.
    member = weights.any(axis=1)
    found, planted = found[:, member], weights[member].T
    cosine = (found / np.linalg.norm(found, axis=1, keepdims=True)) @ (
        planted / np.linalg.norm(planted, axis=1, keepdims=True)
    ).T
    rows, columns = linear_sum_assignment(-cosine)
    matched = cosine[rows, columns]
    assert len(matched) == 10
    assert matched.min() >= 0.8, np.round(matched, 2)


def test_planted_genes_are_described_alike(cohort: anndata.AnnData) -> None:
    """var, varm and uns tell the same story: weights sum to 1, genes belong to at most one programme."""
    weights = cohort.varm["programme_weights"]
    names = cohort.uns["programmes"]["name"]
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, rtol=1e-12)
    assert ((weights > 0).sum(axis=1) <= 1).all()
    assert sorted(set(cohort.uns["programmes"]["kind"])) == ["identity", "malignant", "shared"]
    for column, name in enumerate(names):
        assert set(cohort.var_names[weights[:, column] > 0]) == set(cohort.var_names[cohort.var["programme"] == name])


def test_malignant_programmes_are_raised_in_malignant_cells(cohort: anndata.AnnData) -> None:
    """In every patient with both classes, malignant cells spend more transcripts on the malignant programmes."""
    kinds = np.asarray(cohort.uns["programmes"]["kind"])
    genes = (cohort.varm["programme_weights"][:, kinds == "malignant"] > 0).any(axis=1)
    share = np.asarray(cohort.X[:, genes].sum(axis=1)).ravel() / np.asarray(cohort.X.sum(axis=1)).ravel()
    table = pd.DataFrame(
        {"share": share, "label": cohort.obs["CN.label"].to_numpy(), "patient": cohort.obs["patient"].to_numpy()}
    )
    means = table.pivot_table(index="patient", columns="label", values="share", observed=True).dropna()
    assert len(means) == 9
    assert (means["cancer"] > means["normal"] * 1.3).all()


@pytest.mark.parametrize(
    "sizes",
    [{"n_patients": 7}, {"cells_per_patient": 39}, {"n_genes": 299}, {"seed": -1}],
    ids=str,
)
def test_too_small_a_cohort_is_refused(tmp_path: Path, sizes: dict[str, int]) -> None:
    """A size below its minimum is named, and no file is left behind."""
    with pytest.raises(ValueError, match=next(iter(sizes))):
        generate_cohort(tmp_path / "cohort.h5ad", **sizes)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a new cohort cannot be written, the old one stays as it was and no half file stays behind."""
    path = tmp_path / "cohort.h5ad"
    path.write_bytes(b"old")

    def fail(_cohort: anndata.AnnData, unfinished: Path) -> None:
        unfinished.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(anndata.AnnData, "write_h5ad", fail)
    with pytest.raises(OSError, match="No space left"):
        generate_cohort(path, **SMALL)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["cohort.h5ad"]
