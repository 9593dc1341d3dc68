"""Collapsed axes, unused components, and fits of a larger K that are those of a smaller one."""

from collections.abc import Callable

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import NMF, FactorAnalysis

from stagewright.gates.__main__ import run_gates
from stagewright.gates.contributions import reproduced_variance
from stagewright.gates.matched_correlation import matched_correlation
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.unused_components import largest_use

StepOf = Callable[[str], GateContext]
Reseal = Callable[[GateContext], GateContext]

CACHE = "B/analysis/preprocess_cache/hvg_40/adata_with_dr.h5ad"
STABILITY = "B/analysis/plan0/stability"


def _bad(step: GateContext) -> list[Finding]:
    return [finding for finding in run_gates(step.asked) if finding.severity != "pass"]


def _file(step: GateContext, array: str, change: Callable[[NDArray[np.float32]], None]) -> None:
    with h5py.File(step.run / CACHE, "r+") as file:
        values = file[array][()]
        change(values)
        file[array][...] = values


def _replicates(step: GateContext, where: str, change: Callable[[NDArray[np.float32], int], None]) -> None:
    for seed in (1, 2, 3):
        path = step.run / STABILITY / where / f"replicates/seed_{seed}/scores.npy"
        if path.is_file():
            values = np.load(path)
            change(values, seed)
            np.save(path, values)


def _shrink(factor: float) -> Callable[[NDArray[np.float32]], None]:
    def change(values: NDArray[np.float32]) -> None:
        values[:, 1] *= factor

    return change


def _without_loading(step: GateContext) -> None:
    """Take the loadings of one component away, but for rounding."""
    _file(step, "varm/pca_loadings", _shrink(1e-5))


def _unused(step: GateContext) -> None:
    _replicates(step, "nmf/k_3", lambda values, _: _shrink(3e-4)(values))


def _copied(step: GateContext) -> None:
    def change(values: NDArray[np.float32], seed: int) -> None:
        values[:, :3] = np.load(step.run / STABILITY / f"nmf/k_3/replicates/seed_{seed}/scores.npy")[:, ::-1]

    _replicates(step, "nmf/k_5", change)


def _halved(step: GateContext) -> None:
    def change(values: NDArray[np.float32], _: int) -> None:
        values *= 0.4

    _replicates(step, "nmf/k_5", change)


@pytest.mark.parametrize(
    ("stage", "gate", "spoil"),
    [
        ("plan1a", "variance_collapse", lambda step: _file(step, "obsm/X_pca", _shrink(1e-4))),
        ("plan1b", "variance_collapse", _without_loading),
        ("plan0", "unused_components", _unused),
        ("plan1b", "unused_components", lambda step: _file(step, "obsm/X_nmf", _shrink(3e-4))),
        ("plan0", "larger_k", _copied),
        ("plan0", "larger_k", _halved),
    ],
    ids=["axis", "factor without loading", "unused in Plan 0", "unused in Plan 1b", "copied", "halved"],
)
def test_a_fault_of_an_embedding_makes_its_own_gate_fail_and_no_other(
    stage: str, gate: str, spoil: Callable[[GateContext], None], step_of: StepOf, reseal: Reseal
) -> None:
    """Sealed as if the stage had made it."""
    step = step_of(stage)
    spoil(step)
    found = _bad(reseal(step))
    assert {(finding.gate, finding.severity) for finding in found} == {(gate, "fail")}
    assert all("To pass:" in finding.reason for finding in found)


def test_a_nearly_collapsed_axis_is_a_warning(step_of: StepOf, reseal: Reseal) -> None:
    """Between the two bounds a variational model may honestly end; the axis is named."""
    step = step_of("plan1a")
    _file(step, "obsm/X_pca", _shrink(4e-3))
    found = _bad(reseal(step))
    assert [(finding.gate, finding.severity) for finding in found] == [("variance_collapse", "warn")]
    assert "component 2" in found[0].measured


def test_the_reproduced_variance_is_that_of_the_product() -> None:
    """It agrees with the variance of the matrix itself, whatever the scale between scores and loadings."""
    rng = np.random.default_rng(0)
    scores, loadings = rng.gamma(2.0, size=(80, 4)), rng.exponential(size=(30, 4))
    whole = float((scores @ loadings.T).var(axis=0).sum())
    assert reproduced_variance(scores, loadings) == pytest.approx(whole)
    assert reproduced_variance(scores * 7, loadings / 7) == pytest.approx(whole)


def test_the_use_of_a_component_is_its_share_of_the_reconstruction() -> None:
    """Component by component, against the product written out; a cell without scores says nothing."""
    rng = np.random.default_rng(1)
    scores, loadings = rng.gamma(1.0, size=(25, 3)), rng.exponential(size=(12, 3))
    scores[4] = 0.0
    parts = np.einsum("nk,gk->nk", scores, loadings)
    shares = parts[parts.sum(axis=1) > 0] / parts.sum(axis=1, keepdims=True)[parts.sum(axis=1) > 0]
    np.testing.assert_allclose(largest_use(scores, loadings), shares.max(axis=0))


def test_fits_of_two_k_are_told_from_copies() -> None:
    """Planted programs, all of which both K find: the shared axes still differ by more than the bound allows."""
    rng = np.random.default_rng(2)
    expected = rng.gamma(1.0, size=(400, 4)) @ rng.gamma(0.3, size=(4, 120))
    data = np.log1p(rng.poisson(expected)).astype(np.float64)
    for make in (
        lambda k: NMF(k, init="random", random_state=0, tol=1e-2, max_iter=2000).fit_transform(data),
        lambda k: FactorAnalysis(k, random_state=0).fit_transform(data),
    ):
        small, large = make(4), make(7)
        assert matched_correlation(small, large).min() < 0.9999
        assert matched_correlation(small, np.column_stack([large, small[:, ::-1]])).min() > 0.99999
