"""A sweep runs each unit once and shares what it can."""

import numpy as np
import pytest
from scipy import sparse

from stagewright.stages.reduction import sweep as sweep_module
from stagewright.stages.reduction.catalogue import METHODS, FitUnit, plan_units
from stagewright.stages.reduction.pca import decompose
from stagewright.stages.reduction.sweep import FitSettings, SharedMatrix, sweep


def _matrix() -> sparse.csr_matrix:
    rng = np.random.default_rng(0)
    return sparse.csr_matrix(np.log1p(rng.poisson(rng.gamma(1.0, 1.0, (80, 3)) @ rng.gamma(0.5, 1.0, (3, 40)))))


def test_seed_invariant_methods_have_one_unit_per_k() -> None:
    """PCA runs under the first seed only; K and seeds are not repeated."""
    units = plan_units(["pca", "fa"], {"pca": [4, 2, 4], "fa": [3]}, [7, 8, 7])
    assert units == [FitUnit("pca", 2, 7), FitUnit("pca", 4, 7), FitUnit("fa", 3, 7), FitUnit("fa", 3, 8)]


def test_units_come_in_order_and_shared_work_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each unit is yielded as asked; one decomposition and one correlation matrix serve them all."""
    calls: list[str] = []

    def counted_decompose(*args: object, **options: object) -> object:
        calls.append("pca")
        return decompose(*args, **options)  # type: ignore[arg-type]  # passed on unchanged

    def counted_correlation(view: object) -> object:
        calls.append("correlation")
        return correlate(view)  # type: ignore[arg-type]  # passed on unchanged

    correlate = sweep_module.correlation
    monkeypatch.setattr(sweep_module, "decompose", counted_decompose)
    monkeypatch.setattr(sweep_module, "correlation", counted_correlation)
    units = plan_units(["fa", "pca", "nmf"], {"pca": [2, 3], "fa": [2, 3], "nmf": [2]}, [1, 2])
    results = list(sweep(units, SharedMatrix(_matrix()), FitSettings(rotation={"fa": "varimax"})))
    assert [unit for unit, _ in results] == units
    assert sorted(calls) == ["correlation", "pca"]
    for unit, fit in results:
        assert (fit.method, fit.k, fit.extras["seed"]) == (unit.method, unit.k, unit.seed)
        assert fit.scores.shape == (80, unit.k)
        assert fit.loadings.shape == (40, unit.k)
        assert fit.scores.dtype == fit.loadings.dtype == np.float32
        assert {"explained", "converged", "n_iter", "objective"} <= set(fit.extras)
        assert 0 <= float(str(fit.extras["explained"])) <= 1


def test_a_unit_alone_equals_the_unit_in_a_sweep() -> None:
    """Leaving out cached units does not change a bit of the others."""
    units = [FitUnit("pca", 2, 1), FitUnit("pca", 5, 1), FitUnit("fa", 2, 1), FitUnit("nmf", 3, 1)]
    together = dict(sweep(units, SharedMatrix(_matrix())))
    for unit in units:
        ((_, alone),) = sweep([unit], SharedMatrix(_matrix()))
        np.testing.assert_array_equal(alone.loadings, together[unit].loadings)
        np.testing.assert_array_equal(alone.scores, together[unit].scores)


def test_wrong_methods_and_rotations_are_refused() -> None:
    """Each error names what is allowed."""
    with pytest.raises(ValueError, match="allowed are pca, fa, nmf"):
        plan_units(["umap"], {"umap": [2]}, [1])
    with pytest.raises(ValueError, match="has no K"):
        plan_units(["pca"], {}, [1])
    with pytest.raises(ValueError, match="No seed"):
        plan_units(["pca"], {"pca": [2]}, [])
    with pytest.raises(ValueError, match="allowed are pca, fa, nmf"):
        list(sweep([FitUnit("umap", 2, 1)], SharedMatrix(_matrix())))
    with pytest.raises(ValueError, match="takes no rotation 'varimax'"):
        list(sweep([FitUnit("nmf", 2, 1)], SharedMatrix(_matrix()), FitSettings(rotation={"nmf": "varimax"})))


def test_only_pca_is_seed_invariant() -> None:
    """The flag that lets a caller skip seeds."""
    assert [name for name, entry in METHODS.items() if entry.seed_invariant] == ["pca"]
