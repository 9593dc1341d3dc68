"""The unit cache: only what changed is done again, it is said why, and results are the same with and without it."""

import json
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from stagewright.stages.unit_cache import code_version as code_module
from stagewright.state.artifacts import Outcome, UnitRecord

if TYPE_CHECKING:
    from pathlib import Path

STAGES = ("plan0", "plan1a", "plan1b")
Study = Any  # the fixture's class, which lives in conftest.py
How = Callable[[Outcome], dict[str, str]]
Digests = Callable[[Outcome], dict[str, str]]
UnitOf = Callable[[Outcome, str], UnitRecord]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_warm_cache_gives_the_same_bytes_as_a_cold_one(
    new_study: Callable[[str], Study], how: How, digests: Digests, workers: int
) -> None:
    """Every artifact of Plan 0, 1A and 1B, AnnData files too: cold, warm, and with half of the entries gone."""
    study, cold_study = new_study("warm"), new_study("cold")
    for stage in STAGES:
        step = f"A/{stage}"
        cold = cold_study.execute(step)
        study.execute(step)
        warm = study.execute(step, workers=workers)
        assert set(how(warm).values()) == {"reused"}, stage
        entries = sorted(path for path in (study.run / "unit_cache").glob("*/*") if path.is_dir())
        for path in entries[::2]:
            shutil.rmtree(path)
        partly = study.execute(step, workers=workers)
        assert "ran" in how(partly).values()
        assert digests(cold) == digests(warm) == digests(partly)
        assert cold.metrics == warm.metrics == partly.metrics
        assert (cold.trials, cold.skipped, cold.notes) == (warm.trials, warm.skipped, warm.notes)


def test_another_k_list_redoes_only_what_is_new(study: Study, how: How, unit_of: UnitOf) -> None:
    """The other K of the list do not matter to a fit, of PCA either."""
    study.execute("C/plan0")
    second = study.execute("C/plan0", adjust={"k": [3, 4, 5]})
    assert {name for name, done in how(second).items() if done == "ran"} == {
        "pca/k_5/seed_1",
        "pca/k_5/held_out",
        "fa/k_5/seed_1",
        "fa/k_5/seed_2",
        "fa/k_5/held_out",
    }
    assert unit_of(second, "fa/k_3/seed_1").why == "same inputs as attempt 1 of C/plan0"
    assert unit_of(second, "fa/k_5/seed_1").why == "no earlier result"


def test_changed_inputs_are_named(study: Study, unit_of: UnitOf) -> None:
    """With their value before and after, compared with the nearest earlier result of the same unit."""
    study.execute("A/plan0")
    rotated = study.execute("A/plan0", study=_with(study.request("A/plan0"), rotation={"fa": "varimax"}))
    assert unit_of(rotated, "fa/k_3/seed_1").why == "rotation none -> varimax"
    assert unit_of(rotated, "pca/k_3/seed_1").how == "reused"
    larger = study.execute("B/plan0")
    assert unit_of(larger, "fa/k_3/seed_1").why == "cells_per_patient 40 -> all"
    study.execute("B/plan1a")
    others = study.execute("B/plan1a", adjust={"alphas": [0.2, 2.0]})
    assert unit_of(others, "all_filtered_0p02/fa/paths").why == "alphas [0.1, 1.0] -> [0.2, 2.0]"
    assert unit_of(others, f"all_filtered_0p02/fa/k_{study.k_by_method['fa']}").how == "reused"


def test_the_same_work_is_one_unit_in_all_stages_and_checkpoints(study: Study, how: How) -> None:
    """Plan 1A's embedding is Plan 0's fit, and where B's bound takes no cell away, C has the same cells."""
    study.execute("B/plan0")
    embedded = study.execute("B/plan1a")
    assert [done for name, done in how(embedded).items() if "/k_" in name] == ["reused", "reused"]
    assert set(how(study.execute("C/plan0")).values()) == {"reused"}
    assert set(how(study.execute("C/plan1a")).values()) == {"reused"}


def test_changed_code_redoes_the_units_that_depend_on_it(
    study: Study, how: How, unit_of: UnitOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no others: a change of the classifier leaves the embeddings alone."""
    study.execute("A/plan0")
    study.execute("A/plan1a")
    known = code_module.code_version
    changed = {"stages/classify": "0" * 64, "numpy": "9.9"}

    def after_a_change(kind: code_module.Kind) -> dict[str, str]:
        return dict(known(kind)) | (changed if kind == "paths" else {})

    monkeypatch.setattr("stagewright.stages.unit_cache.inputs.code_version", after_a_change)
    again = study.execute("A/plan1a")
    assert [how(again)[name] for name in sorted(how(again)) if "/k_" in name] == ["reused", "reused"]
    why = unit_of(again, "all_filtered_0p02/pca/paths").why
    assert why.startswith("code of stages/classify changed; numpy ")
    assert why.endswith(" -> 9.9")


def test_a_source_file_counts_with_name_and_content(tmp_path: "Path") -> None:
    """A line more, a new file or a new name is other code; compiled files are not."""
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "a.py").write_text("x = 1\n")
    first = code_module._digest(tmp_path / "room")
    (tmp_path / "room" / "a.pyc").write_text("compiled")
    assert code_module._digest(tmp_path / "room") == first
    (tmp_path / "room" / "a.py").rename(tmp_path / "room" / "b.py")
    second = code_module._digest(tmp_path / "room")
    (tmp_path / "room" / "b.py").write_text("x = 2\n")
    assert len({first, second, code_module._digest(tmp_path / "room")}) == 3
    assert all((code_module.ROOMS / source).exists() for code in code_module.CODE.values() for source in code.sources)


def test_the_log_and_units_json_say_the_same(study: Study, capfd: pytest.CaptureFixture[str]) -> None:
    """One line for each unit, and a record of each with its artifacts."""
    outcome = study.execute("A/plan0")
    printed = capfd.readouterr().out
    listed = json.loads((study.attempt("A/plan0") / "units.json").read_text())["units"]
    assert [unit["name"] for unit in listed] == [unit.name for unit in outcome.units]
    assert all(f"unit {unit.name}: ran in " in printed for unit in outcome.units)
    owned = [path for unit in outcome.units for path in unit.artifacts]
    assert len(owned) == len(set(owned))
    assert {path.rpartition("/")[2] for path in owned} >= {"scores.npy", "loadings.npy", "extras.json"}


def _with(request: Any, **changes: object) -> Any:  # noqa: ANN401 - a request's study, as the fixture's class has it
    return request.study.model_copy(update=changes)
