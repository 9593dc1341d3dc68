"""Run Plan 0 and Plan 1A on a file in a process of its own, as the worker does, and say what they took."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportCallIssue=false

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagewright.stages.worker import run_stage
from stagewright.stages.workload import Workload
from stagewright.state.attempts import open_attempt
from stagewright.state.canonical import data_bytes, digest_data
from stagewright.state.publishing import publish
from stagewright.state.records import ArtifactSeal, Limits, SealedData
from stagewright.state.run_directory import RunDirectory
from stagewright.state.spec import Adjustments, effective_study, parse_spec
from stagewright.state.step_request import StepRequest
from stagewright.state.threads import PINNED_THREADS

__all__ = ["Taken", "run_study"]

KIB = 1024 if sys.platform != "darwin" else 1


@dataclass(frozen=True)
class Taken:
    """What a study took: seconds of each stage, and the largest resident memory of the process, in bytes."""

    plan0_s: float
    plan1a_s: float
    peak_bytes: int
    import_bytes: int
    auc_in_sample: float


def run_study(data: Path, folder: Path, *, n_top_genes: int, k: int, memory_bytes: int, workers: int = 2) -> Taken:
    """Run both plans in a child, with the BLAS threads that the worker has."""
    asked = {"data": str(data), "folder": str(folder), "n_top_genes": n_top_genes, "k": k}
    asked |= {"memory_bytes": memory_bytes, "workers": workers}
    environment = os.environ | dict.fromkeys(PINNED_THREADS, "1")
    done = subprocess.run(
        [sys.executable, __file__, json.dumps(asked)], check=True, stdout=subprocess.PIPE, env=environment
    )
    return Taken(**json.loads(done.stdout.splitlines()[-1]))


def _spec(n_top_genes: int, k: int) -> dict[str, Any]:
    return {
        "objective": "benchmark",
        "data": {
            "path": "cohort.h5ad",
            "patient": "patient",
            "label": {"column": "label", "positive": "malignant", "negative": "normal"},
        },
        "preprocess": [{"method": "hvg", "n_top_genes": n_top_genes}],
        "reduction": {"methods": ["pca", "fa"], "k": [k], "seeds": [1]},
        "classifier": {"alphas": {"logspace": [-2, 2, 5]}},
    }


def _child(asked: dict[str, Any]) -> None:
    before = _peak()
    data, run = Path(asked["data"]), Path(asked["folder"]) / "run"
    run.mkdir(parents=True)
    spec = parse_spec(_spec(asked["n_top_genes"], asked["k"]))
    limits = Limits(runtime_s=36_000, memory_bytes=asked["memory_bytes"], retries=0)
    sealed = SealedData(path=str(data), bytes=data_bytes(data), sha256=digest_data(data))
    upstream: dict[str, ArtifactSeal] = {}
    k_by_method: dict[str, int] = {}
    seconds, auc = [], 0.0
    for number, step in enumerate(("C/plan0", "C/plan1a"), start=1):
        request = StepRequest(
            run_id="benchmark",
            step=step,
            attempt=number,
            data=sealed,
            scope=spec.data,
            study=effective_study(spec, Adjustments(), "C"),
            k_by_method=k_by_method,
            upstream=upstream,
            limits=limits,
            caps=limits,
            workers=asked["workers"],
        )
        folder, _ = open_attempt(RunDirectory(run), request)
        started = time.perf_counter()
        outcome = run_stage(folder, request, Workload())
        seconds.append(time.perf_counter() - started)
        upstream = upstream | {step: publish(run, folder, outcome, kept=[])}
        k_by_method = outcome.k_by_method or k_by_method
        auc = outcome.metrics.get("plan1a.best.auc_in_sample", auc)
    print(json.dumps(Taken(*seconds, _peak(), before, auc).__dict__))


def _peak() -> int:
    """Return the most memory that this process held, and with it the most that one of its own held, which is rare."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(one).ru_maxrss for one in who) * KIB


if __name__ == "__main__":
    _child(json.loads(sys.argv[1]))
