"""Plan 0's sweep against scikit-learn called as the reference study calls it, on the same matrix and in one run.

Each side runs in a process of its own, whose peak memory is measured. The reference is run with one seed of each method
and K, and its time is multiplied by the number of seeds; ours runs every fit. Both factorise the variance-scaled
matrix, so that the divergences can be compared.
"""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIndexIssue=false

import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
from scipy import sparse

from stagewright.stages.cohort.generate import generate_cohort
from stagewright.stages.preprocess.normalise import log_normalise

KS, SEEDS, WORKERS = (20, 40, 60), (1, 2, 3), 2
N_PATIENTS, CELLS_PER_PATIENT, N_GENES = 12, 1250, 3000
FEWEST_CELLS = 30
GIB = 2**30


def main(cells_per_patient: int = CELLS_PER_PATIENT, n_genes: int = N_GENES) -> list[dict[str, object]]:
    """Return the ratio of wall times, the peak memory, and how the objectives compare."""
    with tempfile.TemporaryDirectory() as folder:
        matrix = Path(folder) / "x.npz"
        generate_cohort(
            Path(folder) / "c.h5ad", n_patients=N_PATIENTS, cells_per_patient=cells_per_patient, n_genes=n_genes
        )
        counts = sparse.csr_matrix(anndata.read_h5ad(Path(folder) / "c.h5ad").X)
        # scikit-learn's likelihood rises without end with each gene that hardly varies: its uniqueness goes to 1e-12.
        counts = sparse.csr_matrix(counts[:, counts.getnnz(axis=0) >= FEWEST_CELLS])
        sparse.save_npz(matrix, log_normalise(counts), compressed=False)
        ours, theirs = _child("ours", matrix), _child("reference", matrix)
    ratio = float(theirs["wall_s"]) * len(SEEDS) / float(ours["wall_s"])
    name = f"plan0 sweep, {counts.shape[0]:,} x {counts.shape[1]:,}"
    likelihood = min(mine - theirs["fa"][k] for k, values in ours["fa"].items() for mine in values)
    divergences = [[mine / theirs["nmf"][k] for mine in values] for k, values in ours["nmf"].items()]
    best, worst = max(min(of_k) for of_k in divergences), max(max(of_k) for of_k in divergences)
    variance = min(mine / theirs["pca"][k] for k, values in ours["pca"].items() for mine in values)
    peak = float(ours["peak_bytes"]) / GIB
    return [
        _row(f"{name}: reference (one seed x {len(SEEDS)}) / ours", round(ratio, 1), ">= 10", holds=ratio >= 10),
        _row(f"{name}: seconds, ours on {WORKERS} workers", round(float(ours["wall_s"]), 1), None),
        _row(f"{name}: seconds, reference", round(float(theirs["wall_s"]) * len(SEEDS), 1), None),
        _row(f"{name}: peak GiB, ours", round(peak, 2), "<= 0.8", holds=peak <= 0.8),
        _row(f"{name}: peak GiB, reference", round(float(theirs["peak_bytes"]) / GIB, 2), None),
        _row("FA: log-likelihood per cell above reference's", round(likelihood, 3), ">= 0", holds=likelihood >= 0),
        # A divergence has many local minima. The reference starts each of its seeds from the same SVD, so that all of
        # them find the same one; ours start at random, and what the best of them finds is compared.
        _row("NMF: divergence / reference's, best of the seeds", round(best, 5), "<= 1", holds=best <= 1),
        _row("NMF: divergence / reference's, worst of the seeds", round(worst, 5), None),
        _row("PCA: variance / reference's", round(variance, 6), ">= 1", holds=variance >= 1 - 1e-6),
        *(_row(f"{name}: CPU seconds of our {what}", spent, None) for what, spent in ours["spent"].items()),
    ]


def _row(name: str, value: object, goal: str | None, *, holds: bool | None = None) -> dict[str, object]:
    return {"name": name, "value": value, "goal": goal, "holds": holds}


def _child(side: str, matrix: Path) -> dict[str, object]:
    done = subprocess.run([sys.executable, __file__, side, str(matrix)], check=True, capture_output=True, text=True)
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def _ours(x: sparse.csr_matrix) -> dict[str, object]:
    from stagewright.stages.classify.threads import map_nogil  # noqa: PLC0415 - each side loads what it needs
    from stagewright.stages.reduction.catalogue import FitUnit, plan_units  # noqa: PLC0415 - as above
    from stagewright.stages.reduction.divergence_kernel import warm  # noqa: PLC0415 - as above
    from stagewright.stages.reduction.reduction import Reduction  # noqa: PLC0415 - as above
    from stagewright.stages.reduction.sweep import FitSettings, SharedMatrix, sweep  # noqa: PLC0415 - as above

    warm()
    started = time.perf_counter()
    shared, settings = SharedMatrix(x), FitSettings(nmf_loss="kullback-leibler")
    units = plan_units(["fa", "nmf", "pca"], dict.fromkeys(("fa", "nmf", "pca"), KS), SEEDS)
    units.sort(key=lambda unit: (unit.method != "fa", -unit.k, unit.seed))
    spent: dict[str, float] = {}

    def fit(unit: FitUnit) -> Reduction:
        begun = time.thread_time()
        _, reduction = next(sweep([unit], shared, settings))
        key = f"{unit.method} K {unit.k}"
        spent[key] = round(spent.get(key, 0.0) + time.thread_time() - begun, 2)
        return reduction

    fits = map_nogil(fit, units, WORKERS)
    wall = time.perf_counter() - started
    figures: dict[str, object] = {"wall_s": wall, "spent": spent}
    for method, name in (("fa", "loglike"), ("nmf", "objective"), ("pca", "explained")):
        figures[method] = {k: [fit.extras[name] for fit in fits if (fit.method, fit.k) == (method, k)] for k in KS}
    return figures


def _reference(x: sparse.csr_matrix) -> dict[str, object]:
    from sklearn.decomposition import NMF, PCA, FactorAnalysis  # noqa: PLC0415 - each side loads what it needs
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - as above

    from stagewright.stages.reduction.factorise import explained_and_objective, variance_scaled  # noqa: PLC0415
    from stagewright.stages.reduction.standardise import standardise  # noqa: PLC0415 - as above

    warnings.simplefilter("ignore")  # it says that it has not converged
    seed = SEEDS[0]
    matrix = variance_scaled(standardise(x))
    wall = 0.0
    figures: dict[str, dict[int, float]] = {"fa": {}, "nmf": {}, "pca": {}}

    def timed(fit: Callable[[], object]) -> object:
        nonlocal wall
        started = time.perf_counter()
        result = fit()
        wall += time.perf_counter() - started
        return result

    z = StandardScaler().fit_transform(x.toarray())
    for k in KS:
        pca = PCA(k, svd_solver="randomized", random_state=seed)
        timed(lambda pca=pca: pca.fit_transform(z))  # type: ignore[misc]  # bound for this turn of the loop
        figures["pca"][k] = float(pca.explained_variance_ratio_.sum())
        fa = FactorAnalysis(k, svd_method="randomized", random_state=seed)
        timed(lambda fa=fa: fa.fit_transform(z))  # type: ignore[misc]  # as above
        figures["fa"][k] = float(fa.score(z))
        nmf = NMF(
            k,
            init="nndsvda",
            solver="mu",
            beta_loss="kullback-leibler",
            max_iter=500,
            tol=1e-4,
            random_state=seed,
        )
        w = timed(lambda nmf=nmf: nmf.fit_transform(matrix))  # type: ignore[misc]  # as above
        _, figures["nmf"][k] = explained_and_objective(matrix, np.asarray(w), nmf.components_.T, "kullback-leibler")
    return {"wall_s": wall, **figures}


if __name__ == "__main__":
    if len(sys.argv) == 3:
        run = _ours if sys.argv[1] == "ours" else _reference
        found = run(sparse.csr_matrix(sparse.load_npz(sys.argv[2])))
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({**found, "peak_bytes": peak_kib * 1024}))
    else:
        for row in main():
            print(row)
