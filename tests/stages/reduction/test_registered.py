"""A method of another package, registered by entry point: found, run, and blamed when it is wrong."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from stagewright.stages.catalogue import spec_faults
from stagewright.stages.reduction.catalogue import FitUnit, known_methods, method_entry
from stagewright.stages.reduction.registered import load_registered
from stagewright.stages.reduction.sweep import FitSettings, SharedMatrix, sweep
from stagewright.stages.reduction.transform import transform
from stagewright.state.spec.goal import GoalSpec

MODULE = '''
import numpy as np
from stagewright.stages.reduction.reduction import Reduction


class Random:
    """Random projections."""

    name = "random"
    title = "random projection"
    signed = True
    seed_invariant = False

    def fit(self, view, k, seed, settings):
        rng = np.random.default_rng(seed)
        weights = rng.normal(size=(view.shape[1], k)) * settings.get("size", 1.0)
        if settings.get("wrong"):
            return Reduction("random", k, view.project(weights), weights.astype(np.float32), {})
        extras = {"explained": 0.5, "converged": True, "n_iter": 1, "objective": 0.5}
        scores = view.project(weights).astype(np.float32)
        return Reduction("random", k, scores, weights.astype(np.float32), extras)

    def transform(self, reduction, x):
        return np.zeros((x.shape[0], reduction.k))


class Nameless:
    name = "nameless"
'''


@pytest.fixture
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a distribution on the path as pip leaves one: a module, and a dist-info folder with entry points."""
    (tmp_path / "random_reduction.py").write_text(MODULE, encoding="utf-8")
    info = tmp_path / "random_reduction-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: random-reduction\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[stagewright.reductions]\n"
        "random = random_reduction:Random\n"
        "nameless = random_reduction:Nameless\n"
        "broken = random_reduction:Missing\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)


def _matrix() -> sparse.csr_matrix:
    rng = np.random.default_rng(0)
    return sparse.csr_matrix(np.log1p(rng.poisson(1.0, (50, 20))).astype(np.float32))


def _spec(*methods: str) -> GoalSpec:
    data = {"path": "x.h5ad", "patient": "p", "label": {"column": "l", "positive": "a", "negative": "b"}}
    return GoalSpec.model_validate({"objective": "o", "data": data, "reduction": {"methods": [*methods]}})


@pytest.mark.usefixtures("_package")
def test_a_registered_method_is_found_and_run_with_its_settings() -> None:
    """By its name in the spec, like a built-in one, and it scores other cells by its own rule."""
    assert "random" in known_methods()
    assert spec_faults(_spec("random"), {}) == []
    assert method_entry("random").signed
    settings = FitSettings(registered={"random": {"size": 2.0}})
    ((_, fit),) = sweep([FitUnit("random", 3, 7)], SharedMatrix(_matrix()), settings)
    assert (fit.method, fit.k, fit.extras["seed"]) == ("random", 3, 7)
    expected = np.random.default_rng(7).normal(size=(20, 3)) * 2
    np.testing.assert_allclose(fit.loadings, expected, rtol=1e-6)
    assert {"gene_mean", "gene_sd"} <= set(fit.arrays)
    assert not transform(fit, _matrix()).any()


@pytest.mark.usefixtures("_package")
def test_a_near_name_is_offered() -> None:
    """Registered names are among those that a wrong name is compared with."""
    (fault,) = spec_faults(_spec("randon"), {})
    assert "did you mean 'random'?" in fault


@pytest.mark.usefixtures("_package")
def test_what_is_wrong_with_a_package_names_it() -> None:
    """It cannot be loaded, lacks something, or returns something else."""
    with pytest.raises(ImportError, match=r"the package random-reduction cannot be loaded \(AttributeError"):
        load_registered("broken")
    with pytest.raises(ImportError, match="random-reduction lacks title, signed, seed_invariant, fit"):
        load_registered("nameless")
    with pytest.raises(ImportError, match="No package registers a reduction 'other'"):
        load_registered("other")
    settings = FitSettings(registered={"random": {"wrong": True}})
    with pytest.raises(TypeError, match=r"returned scores of shape .* and dtype float64"):
        list(sweep([FitUnit("random", 3, 7)], SharedMatrix(_matrix()), settings))
