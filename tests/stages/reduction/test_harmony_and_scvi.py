"""The methods of optional packages: Harmony for real, and what is said when a package is missing."""

import warnings
from importlib import util

import numpy as np
import pytest
from scipy import sparse

from stagewright.stages.catalogue import spec_faults
from stagewright.stages.reduction import optional_package
from stagewright.stages.reduction.catalogue import FitUnit
from stagewright.stages.reduction.sweep import SharedMatrix, sweep
from stagewright.state.spec.goal import GoalSpec


def _two_batches() -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
    """Draw log counts of two cell types in two batches whose genes differ in level, with the batches and the types."""
    rng = np.random.default_rng(0)
    types, batches = rng.integers(0, 2, 400), rng.integers(0, 2, 400)
    levels = rng.gamma(1.0, 1.0, (2, 60))
    shift = np.exp(rng.normal(0, 0.4, (2, 60)))
    x = np.log1p(rng.poisson(levels[types] * shift[batches] * 3))
    return sparse.csr_matrix(x.astype(np.float32)), np.array(["a", "b"])[batches], types


def _separation(scores: np.ndarray, groups: np.ndarray) -> float:
    """Return the share of the scores' variance between the groups."""
    parts = [scores[groups == group] for group in np.unique(groups)]
    between = sum(len(part) * ((part.mean(axis=0) - scores.mean(axis=0)) ** 2).sum() for part in parts)
    return float(between / ((scores - scores.mean(axis=0)) ** 2).sum())


def test_harmony_takes_out_the_batch_and_keeps_the_types() -> None:
    """At most a fifth of the batch's share of the variance is left, all of the types'; a seed repeats the fit."""
    pytest.importorskip("harmonypy")
    x, batch, types = _two_batches()
    shared = SharedMatrix(x, batch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package's own
        fits = dict(sweep([FitUnit("pca", 5, 1), FitUnit("harmony", 5, 1)], shared))
        ((_, again),) = sweep([FitUnit("harmony", 5, 1)], SharedMatrix(x, batch))
    plain, ours = fits.values()
    assert _separation(ours.scores, batch) < 0.2 * _separation(plain.scores, batch)
    assert _separation(ours.scores, types) > _separation(plain.scores, types)
    np.testing.assert_array_equal(ours.scores, again.scores)
    assert ours.loadings.shape == (60, 5)
    assert 0 < float(str(ours.extras["explained"])) <= float(str(plain.extras["explained"]))
    assert ours.extras["n_batches"] == 2


def test_harmony_needs_batches() -> None:
    """None, and one only, are errors of their own."""
    pytest.importorskip("harmonypy")
    x, batch, _ = _two_batches()
    with pytest.raises(ValueError, match=r"name an obs column in reduction.harmony.batch"):
        list(sweep([FitUnit("harmony", 3, 1)], SharedMatrix(x)))
    with pytest.raises(ValueError, match="all cells are of the batch 'a'"):
        list(sweep([FitUnit("harmony", 3, 1)], SharedMatrix(x, np.full_like(batch, "a"))))


@pytest.mark.parametrize(("method", "package"), [("harmony", "harmonypy"), ("scvi", "scvi")])
def test_a_missing_package_is_said_when_planned_and_when_run(
    method: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text names the extra, before any time is spent and again if a run comes so far."""
    real = util.find_spec
    monkeypatch.setattr(optional_package, "find_spec", lambda name: None if name == package else real(name))
    data = {"path": "x.h5ad", "patient": "p", "label": {"column": "l", "positive": "a", "negative": "b"}}
    spec = GoalSpec.model_validate(
        {"objective": "o", "data": data, "reduction": {"methods": [method]}, "normalisation": {"method": "none"}}
    )
    (fault,) = spec_faults(spec, {})
    assert f"pip install 'stagewright[{method}]'" in fault
    x, batch, _ = _two_batches()
    with pytest.raises(ModuleNotFoundError, match=rf"No module named '{package}': .*stagewright\[{method}\]"):
        list(sweep([FitUnit(method, 3, 1)], SharedMatrix(x, batch)))


def test_what_cannot_score_other_cells_is_refused_where_that_is_needed() -> None:
    """Refitting inside each fold, and bootstrap samples."""
    data = {"path": "x.h5ad", "patient": "p", "label": {"column": "l", "positive": "a", "negative": "b"}}
    spec = GoalSpec.model_validate(
        {
            "objective": "o",
            "data": data,
            "reduction": {"methods": ["harmony"], "replicates": "bootstrap_cells"},
            "classifier": {"cv": {"scope": "pipeline"}},
        }
    )
    faults = "\n".join(spec_faults(spec, {}))
    assert "harmony cannot score the cells of a fold" in faults
    assert "harmony cannot score the cells that a bootstrap sample leaves out" in faults
