"""The examples of Plan 3 and 4 are valid, and their stages run on a small built-in cohort."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stagewright.gates.check_thresholds import check_thresholds
from stagewright.stages.catalogue import spec_faults
from stagewright.stages.cohort.generate import generate_cohort
from stagewright.state.canonical import digest_file
from stagewright.state.records import SealedData
from stagewright.state.spec import Adjustments, effective_study, parse_spec, read_spec_text

Study = Any  # the fixture's class, which lives in conftest.py
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SealedData:
    """Write a built-in cohort that is just large enough for the examples' numbers."""
    path = tmp_path_factory.mktemp("examples") / "cohort.h5ad"
    generate_cohort(path, seed=2, n_patients=8, cells_per_patient=80, n_genes=1200)
    return SealedData(path=str(path), bytes=path.stat().st_size, sha256=digest_file(path))


@pytest.mark.parametrize("name", ["plan3_representation_first", "plan4_two_stage_train_only"])
def test_the_example_is_planned_and_runs(study: Study, small: SealedData, name: str) -> None:
    """Every step of checkpoint A is executed, reports what its criteria name, and no gate but the cache's fails."""
    spec = parse_spec(read_spec_text(EXAMPLES / f"{name}.yaml"))
    assert spec_faults(spec, {}) == []
    assert check_thresholds({gate: bound.model_dump(exclude_none=True) for gate, bound in spec.gates.items()}) == []
    study.data = small
    fewer = Adjustments(methods=("pca", "fa") if "fa" in spec.reduction.methods else ("pca",))
    effective = effective_study(spec, fewer, "A")
    metrics: dict[str, float] = {}
    for stage in spec.stages:
        outcome = study.execute(f"A/{stage}", study=effective, scope=spec.data)
        metrics |= outcome.metrics
        failed = [f for f in study.judge(f"A/{stage}") if f.severity in {"fail", "error"} and f.gate != "reused_units"]
        assert not failed, failed
    for criterion in (*spec.stop.success, *spec.stop.failure):
        assert criterion.metric in metrics
    if "plan2" in spec.stages:
        table = pd.read_csv(study.run / "A/analysis/plan2/negative_controls_summary.csv")
        assert not table["above_chance"].any()
