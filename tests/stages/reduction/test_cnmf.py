"""Consensus NMF against the authors' package on the package's own replicates."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false

import contextlib
import io
import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import silhouette_score

from stagewright.stages.reduction.cnmf import consensus_fit, fit_cnmf
from stagewright.stages.reduction.consensus_spectra import consensus, silhouette
from stagewright.stages.reduction.transform import transform
from stagewright.stages.stability.matching import match_components

RIGHT, MANY = 5, 7
"""As many components as there are programmes, on which all replicates agree; and more, so that some are filtered."""
REPLICATES, THRESHOLD = 12, 0.1


def _counts(n_cells: int = 200, n_genes: int = 80) -> np.ndarray:
    """Draw counts of five programmes; no cell is empty."""
    rng = np.random.default_rng(0)
    programmes = rng.gamma(0.3, 1.0, (5, n_genes))
    return rng.poisson(rng.gamma(0.5, 1.0, (n_cells, 5)) @ programmes * 3 + 0.3)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, object]]:
    """Run the authors' package on a small matrix; return its input, replicates, and results for each K."""
    folder = tmp_path_factory.mktemp("cnmf")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # what the package says is not ours
        cnmf = pytest.importorskip("cnmf")
        counts = _counts()
        names = [f"g{number}" for number in range(counts.shape[1])]
        data = anndata.AnnData(sparse.csr_matrix(counts.astype(np.float32)), var=pd.DataFrame(index=names))
        data.obs_names = [f"c{number}" for number in range(len(counts))]
        data.write_h5ad(folder / "counts.h5ad")
        run = cnmf.cNMF(output_dir=str(folder), name="run")
        ks = [RIGHT, MANY]
        run.prepare(str(folder / "counts.h5ad"), components=ks, n_iter=REPLICATES, seed=1, num_highvar_genes=80)
        run.factorize()
        run.combine()
        matrix = sparse.csr_matrix(anndata.read_h5ad(run.paths["normalized_counts"]).X)
        found: dict[int, dict[str, object]] = {}
        for k in (RIGHT, MANY):
            run.consensus(k, density_threshold=THRESHOLD, show_clustering=False, build_ref=False)
            stats = run.consensus(k, skip_density_and_return_after_stats=True, show_clustering=False)
            read = cnmf.load_df_from_npz
            spectra = read(run.paths["consensus_spectra"] % (k, str(THRESHOLD).replace(".", "_"))).to_numpy()
            found[k] = {
                "matrix": matrix,
                "merged": read(run.paths["merged_spectra"] % k).to_numpy(),
                "density": read(run.paths["local_density_cache"] % k).to_numpy().ravel(),
                "spectra": spectra / np.linalg.norm(spectra, axis=1, keepdims=True),
                "stats": stats["stats"],
            }
        return found


def test_the_consensus_is_the_packages(package: dict[int, dict[str, object]]) -> None:
    """The same density and filter, the same spectra in the same order, stability and error to 1e-3."""
    theirs = package[MANY]
    merged = np.asarray(theirs["merged"], dtype=np.float64)
    ours = consensus_fit(
        sparse.csr_matrix(theirs["matrix"]),
        [*merged.reshape(REPLICATES, MANY, -1)],
        loss="frobenius",
        density_threshold=THRESHOLD,
        neighbors_share=0.3,
    )
    density = np.asarray(theirs["density"], dtype=np.float64)
    np.testing.assert_allclose(ours.arrays["local_density"].astype(np.float64), density, atol=1e-6)
    np.testing.assert_array_equal(ours.arrays["replicate_clusters"] < 0, density >= THRESHOLD)
    assert 0 < int(str(ours.extras["n_left_out"])) < MANY * REPLICATES
    np.testing.assert_allclose(ours.loadings.T, np.asarray(theirs["spectra"]), atol=1e-5)
    stats = pd.Series(theirs["stats"])
    assert ours.extras["stability"] == pytest.approx(float(stats["silhouette"]), abs=1e-6)
    assert ours.extras["prediction_error"] == pytest.approx(float(stats["prediction_error"]), rel=1e-3)


def test_our_own_replicates_lead_to_the_packages_consensus(package: dict[int, dict[str, object]]) -> None:
    """From other starts and another solver, each component still correlates above 0.99 with the package's."""
    theirs = package[RIGHT]
    matrix = sparse.csr_matrix(theirs["matrix"])
    ours = fit_cnmf(matrix, RIGHT, seed=3, replicates=REPLICATES, density_threshold=THRESHOLD)
    assert match_components(np.asarray(theirs["spectra"]).T, ours.loadings).min() > 0.99


def test_a_fit_repeats_whatever_the_workers_and_can_score_other_cells() -> None:
    """The seed decides; scores are the best ones for the loadings."""
    x = sparse.csr_matrix(np.log1p(_counts()).astype(np.float32))
    first = fit_cnmf(x, 4, seed=1, replicates=6, density_threshold=2)
    again = fit_cnmf(x, 4, seed=1, replicates=6, density_threshold=2, n_workers=2)
    np.testing.assert_array_equal(first.loadings, again.loadings)
    np.testing.assert_array_equal(first.scores, again.scores)
    assert first.extras["n_left_out"] == 0
    np.testing.assert_allclose(np.linalg.norm(first.loadings, axis=0), 1.0, rtol=1e-5)
    np.testing.assert_allclose(transform(first, x), first.scores, atol=1e-3 * first.scores.max())
    other = fit_cnmf(x, 4, seed=2, replicates=6, density_threshold=2, loss="kullback-leibler")
    assert not np.array_equal(first.loadings, other.loadings)
    assert other.extras["loss"] == "kullback-leibler"


def test_the_silhouette_is_scikit_learns() -> None:
    """With a cluster of one as well; none when each spectrum is its own cluster."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20, 4))
    labels = np.array([0] * 9 + [1] * 10 + [2])
    assert silhouette(points, labels) == pytest.approx(silhouette_score(points, labels), abs=1e-9)
    assert silhouette(points, np.arange(20)) is None


def test_replicates_that_do_not_agree_are_said_to() -> None:
    """The error names the threshold and what else could be done; one replicate is no consensus."""
    spectra = np.eye(6)
    with pytest.raises(ValueError, match=r"0 of 6 components pass the density threshold 0.5, fewer than K = 3"):
        consensus(spectra, 3, density_threshold=0.5, n_neighbors=1)
    x = sparse.csr_matrix(np.log1p(_counts()).astype(np.float32))
    with pytest.raises(ValueError, match="at least 2"):
        fit_cnmf(x, 4, seed=1, replicates=1)
