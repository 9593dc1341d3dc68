"""A run that names patients by pseudonyms, from planning on: no id in any file or reply, and no other result."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

from stagewright.stages.cohort.generate import generate_cohort
from stagewright.stages.cohort.open_data import open_data
from stagewright.stages.cohort.pseudonymise import read_study_columns
from stagewright.state.ledger import Ledger
from stagewright.state.policy import Policy, PrivacyPolicy
from stagewright.state.pseudonyms import Pseudonyms
from stagewright.state.raw_ids import has_word
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.sealed_spec import declared_spec
from stagewright.tools import Caller, Workspace, call_tool, complete
from stagewright.tools.privacy.raw_ids import privacy_note
from stagewright.tools.privacy.run_key import key_of_run
from stagewright.tools.privacy.way_back import way_back
from stagewright.tools.reproduce.report import Reproduction
from stagewright.tools.reproduce.reproduce_run import Wish, reproduce_run

pytestmark = pytest.mark.slow

STEPS = ("A/plan0", "A/plan1a", "A/plan1b")
SPEC: dict[str, Any] = {
    "objective": "Are patients called by other names?",
    "data": {
        "path": "cohort.h5ad",
        "patient": "patient",
        "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
        "timepoint": {"column": "timepoint_type", "keep": ["Dx", "MRD"]},
        "columns": {"sample": "sample", "technology": "Tech"},
    },
    "stages": ["plan0", "plan1a", "plan1b"],
    "preprocess": [{"method": "all_filtered", "min_cells_fraction": 0.02}],
    "reduction": {"methods": ["pca", "nmf"], "k": [3, 4], "seeds": [1, 2]},
    "classifier": {"alphas": [0.1, 1.0], "cv": {"folds": 3, "repeats": 1}},
    "checkpoints": {"A": {"cells_per_patient": 40}},
    "budget": {"runtime": "20min", "memory": "4GiB", "retries": 0},
    "holdout": {"patients": 0.25, "queries": 1},
}


@dataclass
class Studied:
    """A root with one run that was executed and judged up to the end of checkpoint A, and every reply on the way."""

    workspace: Workspace
    run: RunDirectory
    replies: list[str] = field(default_factory=list)


def study(root: Path, spec: dict[str, Any]) -> Studied:
    """Plan a study and take it through checkpoint A as an agent does."""
    workspace, replies = Workspace(root=root.resolve()), []

    def called(tool: str, **arguments: object) -> dict[str, Any]:
        reply = complete(call_tool(workspace, tool, arguments, Caller(client="tests")))
        replies.append(reply.model_dump_json())
        return reply.model_dump(mode="json")

    run_id = called("plan_run", spec=spec)["run_id"]
    for step in STEPS:
        assert called("execute_stage", run_id=run_id, wait_s=300)["status"] == "executed"
        called("validate_stage", run_id=run_id)
        for view in ("gates", "metrics", "artifacts", "logs", "trials", "spec"):
            called("read_state", run_id=run_id, view=view, limit=100)
        if step != STEPS[-1]:
            called("decide", run_id=run_id, decision="continue", rationale="the gates passed")
    called("decide", run_id=run_id, decision="stop", rationale="enough was seen")
    return Studied(workspace, workspace.run(run_id), replies)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a cohort in which samples and barcodes have the patient's id in them."""
    path = tmp_path_factory.mktemp("data") / "cohort.h5ad"
    generate_cohort(path, n_patients=8, cells_per_patient=60, n_genes=300)
    cohort = anndata.read_h5ad(path)
    patients = cohort.obs["patient"].astype(str)
    cohort.obs["sample"] = pd.Categorical(patients + "_" + cohort.obs["timepoint_type"].astype(str))
    cohort.obs_names = [f"{patient}_{name}-1" for patient, name in zip(patients, cohort.obs_names, strict=True)]
    cohort.write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def ids(data: Path) -> list[str]:
    """Return the ids of the patients."""
    return sorted(anndata.read_h5ad(data, backed="r").obs["patient"].astype(str).unique())


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Studied:
    """Run the study with pseudonyms."""
    root = tmp_path_factory.mktemp("named")
    shutil.copy(data, root / "cohort.h5ad")
    return study(root, SPEC | {"privacy": "pseudonymise"})


@pytest.fixture(scope="module")
def names(named: Studied) -> dict[str, str]:
    """Return the pseudonym of each patient."""
    return next(item for item in way_back(named.workspace, named.run) if isinstance(item, dict))


def test_no_id_is_in_any_file_of_the_run_nor_in_any_reply(named: Studied, ids: list[str]) -> None:
    """Whatever the format: text, the strings of h5ad and parquet files, names of files and folders."""
    for text in named.replies:
        assert not [one for one in ids if has_word(text, one)]
    seen = 0
    for place, text in texts(named.run.path):
        seen += 1
        assert not [one for one in ids if has_word(text, one)], place
    assert seen > 100
    root_log = named.workspace.root / "experiments" / "tool_calls.log"
    assert not root_log.exists() or not [one for one in ids if has_word(root_log.read_text(), one)]


def test_the_key_is_its_owners_and_in_no_file(named: Studied) -> None:
    """Mode 600, beside the runs; the ledger has a digest by which it is told from others."""
    path = named.workspace.pseudonym_key
    assert path.stat().st_mode & 0o777 == 0o600
    key = path.read_text().strip()
    assert all(key not in text for _, text in texts(named.run.path))
    assert Ledger(named.run).fold().pseudonym_key_id


def test_results_are_those_of_a_file_with_renamed_patients(
    named: Studied, names: dict[str, str], data: Path, tmp_path: Path
) -> None:
    """Every artifact is the same byte by byte: pseudonyms change what renaming the patients changes, and no more."""
    cohort = anndata.read_h5ad(data)
    own = named.run.path / "A/analysis/preprocess_cache/all_filtered_0p02/adata_with_dr.h5ad"
    written = anndata.read_h5ad(own).obs
    assert set(written["patient"]) < set(names.values()), "without those that are put aside"
    assert written["sample"].str.fullmatch("sample-[0-9a-f]{8}").all()
    assert written.index.str.fullmatch("cell-[0-9a-f]{20}").all()
    pseudonyms = renaming(named, data)
    cohort.obs["patient"] = pd.Categorical(cohort.obs["patient"].astype(str).map(names))
    cohort.obs["sample"] = pd.Categorical(cohort.obs["sample"].astype(str).map(dict(pseudonyms.columns["sample"])))
    renamed = [pseudonyms.cell(name) for name in cohort.obs_names]
    cohort.obs_names = renamed
    cohort.write_h5ad(tmp_path / "cohort.h5ad")
    seal = Ledger(named.run).fold().holdout
    assert seal is not None
    spec = {name: value for name, value in SPEC.items() if name != "holdout"}
    # Who is put aside hangs on the names of the cells, which are others here: the same patients are left out by hand.
    spec["data"] = spec["data"] | {"filters": [{"column": "patient", "keep": [*seal.working]}]}
    plain = study(tmp_path, spec)
    digests = [
        {item["path"]: item["sha256"] for item in outcome["artifacts"]}
        for one in (named, plain)
        for outcome in [merged(one.run)]
    ]
    assert len(digests[0]) > 30
    assert digests[0] == digests[1]


def test_the_detector_finds_an_id_that_somebody_wrote(named: Studied, ids: list[str], tmp_path: Path) -> None:
    """A rationale that names a patient is found by line and pseudonym; a clean run has none."""
    note = privacy_note(named.workspace, named.run)
    assert note is not None
    assert not note.alarming, note.said()
    assert note.n_patients == len(ids)
    shutil.copytree(named.workspace.root, tmp_path, dirs_exist_ok=True)
    copy = Workspace(root=tmp_path.resolve())
    said = {"decision": "continue", "rationale": f"without {ids[0]} it is better"}
    with pytest.raises(Refusal):  # the run is stopped; the call is recorded all the same
        complete(call_tool(copy, "decide", {"run_id": named.run.run_id} | said, Caller()))
    found = privacy_note(copy, copy.run(named.run.run_id))
    assert found is not None
    assert found.alarming
    assert [item.file for item in found.found] == ["logs/tool_calls.log"]
    assert ids[0] not in found.said()


def test_another_key_or_none_is_refused(named: Studied, tmp_path: Path) -> None:
    """A new key would change every name: the reply says what to put back, and nothing is planned under a new one."""
    shutil.copytree(named.workspace.root, tmp_path, dirs_exist_ok=True)
    copy = Workspace(root=tmp_path.resolve())
    run = copy.run(named.run.run_id)
    copy.pseudonym_key.unlink()
    for arguments in ({"dry_run": True}, {}):
        with pytest.raises(Refusal, match="is gone, by which earlier runs"):
            complete(call_tool(copy, "plan_run", {"spec": SPEC | {"privacy": "pseudonymise"}} | arguments, Caller()))
    with pytest.raises(Refusal, match="would give the patients of this run other names"):
        next(iter(way_back(copy, run)))
    other = tmp_path / "other_key"
    other.write_text("x" * 40)
    with pytest.raises(Refusal, match="another pseudonym key"):
        list(reproduce_run(Workspace(root=copy.root, policy=policy_with(other)), run, Wish()))


def test_no_tool_reads_the_key(named: Studied) -> None:
    """Neither as a spec, nor as data or a gene list, under whatever path."""
    key = named.workspace.pseudonym_key
    inside = key.relative_to(named.workspace.root)
    (named.workspace.root / "innocent.yaml").hardlink_to(key)
    specs: list[str | dict[str, Any]] = [str(inside), str(key), f"x/../{inside}", "innocent.yaml"]
    specs.append(SPEC | {"data": SPEC["data"] | {"path": str(inside)}})
    specs.append(SPEC | {"preprocess": [{"method": "gene_list", "path": str(inside)}]})
    for spec in specs:
        with pytest.raises(Refusal) as caught:
            complete(call_tool(named.workspace, "plan_run", {"spec": spec}, Caller()))
        assert key.read_text().strip() not in str(caught.value)
        assert caught.value.code == "outside_root"
    (named.workspace.root / "innocent.yaml").unlink()


def test_a_run_with_pseudonyms_and_a_hold_out_is_reproduced(named: Studied) -> None:
    """Under the same key, with the same patients put aside; every artifact is the same."""
    found = list(reproduce_run(named.workspace, named.run, Wish(workers=1)))
    last = found[-1]
    assert isinstance(last, Reproduction)
    assert last.equal, last
    assert [step.step for step in last.steps] == [*STEPS]
    assert last.folder is None


def merged(run: RunDirectory) -> dict[str, Any]:
    """Return the artifacts of all steps together."""
    outcomes = [json.loads(path.read_text()) for path in sorted(run.path.glob("attempts/*/outcome.json"))]
    return {"artifacts": [item for outcome in outcomes for item in outcome["artifacts"]]}


def policy_with(key: Path) -> Policy:
    """Return a policy that names a key."""
    return Policy(privacy=PrivacyPolicy(key_file=key))


def renaming(one: Studied, data: Path) -> Pseudonyms:
    """Return what the study renames."""
    key = key_of_run(one.workspace, one.run, Ledger(one.run).fold())
    with open_data(data) as file:
        found = read_study_columns(file, declared_spec(one.run).data, key).pseudonyms
    assert found is not None
    return found


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the text of every file under a folder, and its path."""
    for path in sorted(folder.rglob("*")):
        yield str(path), path.relative_to(folder).as_posix()
        if path.is_dir() or path.suffix == ".npy":
            continue
        if path.suffix == ".h5ad":
            yield str(path), "\n".join(strings(path))
        elif path.suffix == ".parquet":
            yield str(path), pd.read_parquet(path).select_dtypes(exclude=[np.number]).astype(str).to_csv()
        else:
            yield str(path), path.read_text(encoding="utf-8", errors="replace")
        yield str(path), path.read_bytes().decode("latin-1")


def strings(path: Path) -> list[str]:
    """Return every string of an HDF5 file: names, attributes and datasets."""
    found: list[str] = []

    def visit(name: str, member: h5py.Group | h5py.Dataset) -> None:
        found.append(name)
        found.extend(f"{key} {value}" for key, value in member.attrs.items())
        if isinstance(member, h5py.Dataset) and member.dtype.kind == "O":
            found.extend(map(str, np.atleast_1d(member.asstr()[()])))

    with h5py.File(path) as file:
        file.visititems(visit)
    return found
