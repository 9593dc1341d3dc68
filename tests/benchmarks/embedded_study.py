"""A run with sealed synthetic embeddings, so that Plan 1B and 1C can be timed as whole stages, reading and writing too.

The embeddings have a planted signal: malignant cells are shifted along a few factors, by directions that patients share
in part. Sizes are those of the reference study's cohort: patients from some dozen to some thousand cells, with shares
of malignant cells from one half to one in a thousand.
"""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from stagewright.stages.cohort.depth import DETECTED_GENES, LIBRARY_SIZE
from stagewright.stages.progress import Progress
from stagewright.stages.protocol import StageContext, StageResult
from stagewright.state.artifacts import ArtifactWriter, Outcome
from stagewright.state.publishing import publish
from stagewright.state.records import ArtifactSeal, Limits, SealedData
from stagewright.state.spec import Adjustments, effective_study, parse_spec
from stagewright.state.step_request import StepRequest

LIMITS = Limits(runtime_s=3600, memory_bytes=2**34, retries=0)
N_GENES = 8
SHARES = (0.5, 0.3, 0.2, 0.4, 0.1, 0.6, 0.05, 0.25, 0.35, 0.02, 0.15, 0.005)
"""Malignant share of each of twelve patients."""
WEIGHTS = (4, 8, 3, 6, 12, 2, 9, 5, 7, 10, 1, 11)
"""Relative sizes of the patients."""


def patient_sizes(n_cells: int) -> list[int]:
    """Return the cells of each of twelve patients."""
    sizes = [n_cells * weight // sum(WEIGHTS) for weight in WEIGHTS]
    sizes[-1] += n_cells - sum(sizes)
    return sizes


def embeddings(n_cells: int, methods: tuple[str, ...], k: int, seed: int) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return obs of patients, labels, sources and types, and for each method an embedding, float32 (n_cells, k)."""
    rng = np.random.default_rng(seed)
    sizes = patient_sizes(n_cells)
    patient = np.repeat([f"P{number:02d}" for number in range(len(sizes))], sizes)
    malignant = np.concatenate(
        [
            rng.permutation(np.arange(size) < max(6, round(size * share)))
            for size, share in zip(sizes, SHARES, strict=True)
        ]
    )
    donor = ~malignant & (rng.random(n_cells) < 0.8)
    obs = pd.DataFrame(
        {
            "patient": patient,
            "label": np.where(malignant, "cancer", "normal"),
            "source": np.where(donor, "donor", "recipient"),
            "cell_type": rng.choice(["HSC", "Mono", "T", "B", "NK"], n_cells),
            LIBRARY_SIZE: rng.lognormal(8, 0.4, n_cells).round(),
            DETECTED_GENES: rng.integers(300, 2000, n_cells),
        },
        index=[f"cell_{number}" for number in range(n_cells)],
    )
    found = {}
    for method in methods:
        shift = np.zeros((len(sizes), k))
        shift[:, :6] = rng.normal(0.3, 0.2, 6) + rng.normal(0, 0.15, (len(sizes), 6))
        x = rng.normal(size=(n_cells, k)) @ (np.eye(k) + 0.15 * rng.normal(size=(k, k)))
        x += malignant[:, np.newaxis] * np.repeat(shift, sizes, axis=0)
        found[method] = (x * np.geomspace(8.0, 0.8, k)).astype(np.float32)  # spread as principal components are
    return obs, found


@contextmanager
def sealed_study(
    obs: pd.DataFrame, scores: Mapping[str, np.ndarray], classifier: dict[str, Any], *, workers: int
) -> Iterator[Callable[[str, Callable[[StageContext], StageResult]], tuple[float, StageResult, Path]]]:
    """Give a function that runs a stage on sealed embeddings; it returns seconds, result and the run's folder."""
    root = Path(tempfile.mkdtemp(prefix="embedded_study_"))
    try:
        run = root / "run"
        run.mkdir()
        k = next(iter(scores.values())).shape[1]
        spec = parse_spec(
            {
                "objective": "benchmark",
                "data": {
                    "path": "cohort.h5ad",
                    "patient": "patient",
                    "label": {"column": "label", "positive": "cancer", "negative": "normal"},
                    "columns": {"source": "source", "cell_type": "cell_type"},
                },
                "stages": ["plan0", "plan1a", "plan1b", "plan1c"],
                "reduction": {"methods": ["pca"], "k": [k], "seeds": [1]},
                "classifier": classifier,
            }
        )
        study = effective_study(spec, Adjustments(), "C").model_copy(update={"methods": tuple(scores)})
        data = SealedData(path=str(root / "cohort.h5ad"), bytes=1, sha256="0" * 64)
        upstream: dict[str, ArtifactSeal] = {}

        def execute(name: str, stage: Callable[[StageContext], StageResult]) -> tuple[float, StageResult, Path]:
            number = len(list((run / "attempts").glob("*"))) + 1
            attempt = run / "attempts" / f"{number:04d}_C_{name}"
            (attempt / "staging").mkdir(parents=True)
            request = StepRequest(
                run_id="benchmark",
                step=f"C/{name}",
                attempt=number,
                data=data,
                scope=spec.data,
                study=study,
                k_by_method=dict.fromkeys(scores, k),
                upstream=upstream,
                limits=LIMITS,
                caps=LIMITS,
                workers=workers,
            )
            writer = ArtifactWriter(attempt / "staging")
            started = time.perf_counter()
            result = stage(StageContext(run, request, writer, Progress(attempt / "progress.json", 1)))
            elapsed = time.perf_counter() - started
            outcome = Outcome(step=request.step, attempt=number, artifacts=writer.artifacts(), skipped=result.skipped)
            upstream[request.step] = publish(run, attempt, outcome, kept=[])
            return elapsed, result, run

        def seal(context: StageContext) -> StageResult:
            folder = "C/analysis/preprocess_cache/hvg_3000/adata_with_dr.h5ad"
            path = context.artifacts.place(PurePosixPath(folder))
            data = ad.AnnData(
                sp.csr_matrix((len(obs), N_GENES), dtype=np.float32),
                obs=obs,
                obsm={f"X_{method}": array for method, array in scores.items()},
                uns={"stagewright": json.dumps({"preprocess": study.preprocess[0].model_dump(mode="json")})},
            )
            data.write_h5ad(path)
            context.artifacts.record(PurePosixPath(folder), "h5ad")
            return StageResult()

        execute("plan1a", seal)
        yield execute
    finally:
        shutil.rmtree(root, ignore_errors=True)
