"""`stagewright init` writes a spec that can be planned; `stagewright doctor` says what is to mend."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportAssignmentType=false

import json
from pathlib import Path

import pytest
import yaml

from stagewright.server.cli import main
from stagewright.server.cli.spec_text import FILL_IN, spec_text
from stagewright.stages.cohort.records import FileFacts, Guess, LabelGuess, Suggestions
from stagewright.state.spec import parse_spec


def test_init_writes_a_spec_that_plans(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The guesses of a sensible file make a valid spec, with the reasons as comments, and nothing to fill in."""
    out = root / "specs" / "first.yaml"
    assert main(["init", str(root / "cohort.h5ad"), "--out", str(out), "--root", str(root)]) == 0
    assert "plan" in capsys.readouterr().out
    text = out.read_text()
    assert FILL_IN not in text
    spec = parse_spec(text)
    assert (spec.data.patient, spec.data.label.column) == ("patient", "CN.label")
    assert (spec.data.label.positive, spec.data.label.negative) == ("cancer", "normal")
    assert spec.data.timepoint is not None
    assert "# guess:" in text
    assert main(["plan", str(out), "--dry-run", "--root", str(root)]) == 0


def test_init_never_overwrites_unasked(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is there is left alone without --force."""
    out = root / "spec.yaml"
    before = out.read_text()
    words = ["init", str(root / "cohort.h5ad"), "--out", str(out), "--root", str(root)]
    assert main(words) == 3
    assert "--force" in capsys.readouterr().err
    assert out.read_text() == before
    assert main([*words, "--force"]) == 0
    assert out.read_text() != before


def test_init_refuses_what_is_no_h5ad(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A truncated file gives one clear error and no spec."""
    short = root / "short.h5ad"
    short.write_bytes((root / "cohort.h5ad").read_bytes()[:2000])
    out = root / "none.yaml"
    assert main(["init", str(short), "--out", str(out), "--root", str(root), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["refused"] == "invalid_data"
    assert not out.exists()


def missing(reason: str = "nothing is named like it") -> Guess:
    return {"value": None, "reason": reason, "alternatives": []}


def guesses_of(label: LabelGuess, **found: Guess) -> Suggestions:
    """Return guesses in which nothing was found but the label and what is given."""
    return {
        "patient": found.get("patient", missing()),
        "label": label,
        "timepoint": found.get("timepoint", missing()),
        "timepoint_levels": [],
        "source": missing(),
        "technology": missing(),
        "batch": missing(),
        "cell_type": missing(),
        "leak_columns": [],
        "counts": missing(),
        "k": {"value": [5, 10], "reason": "few cells"},
        "warnings": [],
    }


FACTS: FileFacts = {
    "path": "x.h5ad",
    "size_bytes": 1,
    "n_obs": 10,
    "n_vars": 100,
    "matrices": [],
    "obs_columns": [],
    "obs_names_unique": True,
    "var_names_unique": True,
    "repeated_var_names": [],
}
NO_LABEL: LabelGuess = {
    "column": None,
    "positive": None,
    "negative": None,
    "other_levels": [],
    "reason": "no column has two levels",
    "alternatives": [],
}


def test_what_could_not_be_guessed_is_marked() -> None:
    """Lines to fill in are marked, parse as YAML, and name nothing that a file could hold by chance."""
    text = spec_text("x.h5ad", FACTS, guesses_of(NO_LABEL))
    marked = [line.strip() for line in text.splitlines() if FILL_IN in line]
    assert [line.split(":")[0] for line in marked] == ["counts", "patient", "label", "{column"]
    spec = parse_spec(text)
    assert spec.data.patient == FILL_IN
    assert spec.data.label.column == FILL_IN


@pytest.mark.parametrize(
    "name", ["yes", "1", "a: b", "x # y", "two\nlines: {a: 1}", '"', "naïve", "\x85next: 1", "- a"]
)
def test_names_in_a_file_stay_names(name: str) -> None:
    """Whatever a column or level is called, the spec says it and nothing else: data is never YAML."""
    label: LabelGuess = NO_LABEL | {"column": name, "positive": name, "negative": "other", "reason": name}  # type: ignore[assignment]  # a union of dicts
    text = spec_text(
        "x.h5ad", FACTS, guesses_of(label, patient={"value": name, "reason": name, "alternatives": [name]})
    )
    declared = yaml.safe_load(text)
    assert declared["data"]["patient"] == name
    assert declared["data"]["label"] == {"column": name, "positive": name, "negative": "other"}
    assert set(declared) == {"objective", "data", "stages", "preprocess", "reduction", "classifier", "budget"}
    assert parse_spec(text).data.patient == name.strip()


def test_doctor_runs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every subject has a verdict; a machine that runs these tests has no failure."""
    assert main(["doctor", "--root", str(root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert {item["name"] for item in found["checks"]} >= {
        "python",
        "packages",
        "mcp sdk",
        "cores",
        "memory",
        "disk",
        "file locks",
        "policy",
        "kernels",
    }
    assert all(item["mend"] for item in found["checks"] if item["verdict"] != "ok")


def test_doctor_tries_the_cluster(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A scheduler that nobody answers for is a finding, in the words that a step would have."""
    nobody = '[executor]\nkind = "dask"\nscheduler = "tcp://127.0.0.1:9"\nwait = "0.3s"\n'
    (root / "stagewright.toml").write_text(nobody)
    assert main(["doctor", "--root", str(root), "--json"]) == 1
    (check,) = [item for item in json.loads(capsys.readouterr().out)["checks"] if item["name"] == "executor"]
    assert check["verdict"] == "fail"
    assert check["found"].startswith("nobody answers as a Dask scheduler at tcp://127.0.0.1:9")


def test_doctor_finds_a_wrong_policy(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy with faults is a finding with its place, and status 1."""
    (root / "stagewright.toml").write_text("[caps]\nworkers = 0\n")
    assert main(["doctor", "--root", str(root)]) == 1
    shown = capsys.readouterr().out
    assert "fail  policy" in shown
    assert "caps.workers" in shown
