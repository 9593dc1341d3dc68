"""The gates are proven on real cohorts: AML at diagnosis and stimulated PBMC, a small grid, every plan."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from stagewright.server.cli import main
from stagewright.state.run_directory import list_runs

SHARED = Path(__file__).parents[3] / "shared" / "data"
COHORTS: dict[str, dict[str, Any]] = {
    "aml_vangalen_d0_dev.h5ad": {
        "label": {"column": "label", "positive": "malignant", "negative": "normal"},
        "filters": [{"column": "label", "drop": ["unclear"]}],
    },
    "kang_ifnb_2k.h5ad": {"label": {"column": "label", "positive": "stim", "negative": "ctrl"}},
}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", COHORTS)
def test_no_gate_is_blind_and_none_cries_wolf(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Checkpoint A of a study with every plan; at least 25 faults can be tried, and each is caught by its gate."""
    data = SHARED / name
    if not data.is_file():
        pytest.skip(f"{data} is not there; real data lie beside the repository and never in it")
    spec = {
        "objective": "Are the gates awake on real cells?",
        "data": {"path": str(data), "patient": "patient", **COHORTS[name]},
        "stages": ["plan0", "plan1a", "plan1b", "plan1c", "plan2"],
        "preprocess": [{"method": "hvg", "n_top_genes": 1000}],
        "reduction": {"methods": ["pca", "nmf"], "k": [5, 10], "seeds": [1, 2, 3]},
        "classifier": {"modes": ["grouped", "per_patient"], "cv": {"folds": 3, "repeats": 2}},
        "negative_controls": {"permutations": 3, "search_permutations": 39, "search_at": ["A"]},
        "approvals": ["B"],
        "budget": {"runtime": "2h", "memory": "8GiB"},
    }
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    assert main(["run", str(tmp_path / "spec.yaml"), "--root", str(tmp_path)]) == 4  # it waits before checkpoint B
    (run,) = list_runs(tmp_path)
    capsys.readouterr()
    left_with = main(["prove-gates", str(run.path), "--json"])
    proof = json.loads(capsys.readouterr().out)
    wrong = [trial for trial in proof["trials"] if trial["result"] in ("blind", "cried")]
    assert (left_with, wrong) == (0, [])
    assert len({trial["fault"] for trial in proof["trials"] if trial["result"] == "caught"}) >= 25
    assert proof["steps"] == ["A/plan0", "A/plan1a", "A/plan1b", "A/plan1c", "A/plan2"]
