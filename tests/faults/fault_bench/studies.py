"""Small studies that end before their second checkpoint, where a person would have to approve."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import yaml
from fault_bench.caller import Call, PreparedCaller
from fault_bench.case import Case
from fault_bench.commands import policy_text
from fault_bench.results import Results, results_of

__all__ = ["Study", "make_plans", "root_with"]

RETRIES = "\n[caps]\nretries = 10\n"
STEP: tuple[Call, ...] = (
    ("execute_stage", {"wait_s": 200}),
    ("validate_stage", {}),
    ("decide", {"decision": "continue", "rationale": "the gates passed"}),
)


@dataclass(frozen=True)
class Study:
    """A study: a root in which it may start, how long it takes from there, and what comes of it undisturbed."""

    root: Path
    length_s: float
    expected: Results


def make_plans(folder: Path, cohort: Path, caller: PreparedCaller) -> dict[str, Study]:
    """Run the built-in plans once and return the study as it is before each of them, by its name."""
    spec = {
        "objective": "Do the same numbers come out?",
        "data": {
            "path": "cohort.h5ad",
            "patient": "patient",
            "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
        },
        "stages": ["plan0", "plan1a", "plan1b"],
        "approvals": ["B"],
        "preprocess": [{"method": "hvg", "n_top_genes": 60}],
        "reduction": {"methods": ["pca", "fa"], "k": [2, 3], "seeds": [1, 2]},
        "classifier": {"alphas": {"logspace": [-3, 1, 4]}, "cv": {"folds": 2, "repeats": 1}},
        "budget": {"retries": 10},
    }
    whole = Case(folder / "plans-whole", root_with(folder / "plans", cohort, spec))
    roots: dict[str, tuple[Path, float]] = {}
    caller.make(whole, [("plan_run", {"spec": "spec.yaml"})])
    for stage in ("plan0", "plan1a", "plan1b"):
        before = Case(folder / f"before-{stage}", whole.root)
        roots[stage] = before.root, time.monotonic()
        for tool, arguments in STEP:
            answers = caller.make(whole, [(tool, {"run_id": whole.run.run_id, **arguments})])
            assert answers is not None
            assert "refused" not in answers[0], answers[0]
    ended, expected = time.monotonic(), results_of(whole.run)
    return {stage: Study(root, ended - started, expected) for stage, (root, started) in roots.items()}


def root_with(root: Path, cohort: Path, spec: dict[str, object]) -> Path:
    """Make a root with a cohort, the operator's policy and a goal spec."""
    root.mkdir()
    shutil.copy(cohort, root / "cohort.h5ad")
    (root / "stagewright.toml").write_text(policy_text(str(root)) + RETRIES)
    (root / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return root
