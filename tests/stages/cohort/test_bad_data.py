"""Data as they come: each works, or is refused in one sentence before time is spent."""

import gzip
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from stagewright.stages.cohort.load import Cohort, load_cohort
from stagewright.stages.preprocess.normalise import CountsUnusable
from stagewright.state.canonical import data_bytes, digest_data
from stagewright.state.records import Limits, SealedData
from stagewright.state.refusals import Refusal
from stagewright.state.spec import Adjustments, effective_study, parse_spec
from stagewright.state.step_request import StepRequest
from stagewright.tools import Workspace

pytestmark = pytest.mark.usefixtures("look_here")

Call = Callable[..., dict[str, Any]]
Declare = Callable[..., dict[str, Any]]
Change = Callable[[anndata.AnnData], anndata.AnnData | None]

LIMITS = Limits(runtime_s=600, memory_bytes=2**32, retries=0)


@pytest.fixture
def data(workspace: Workspace) -> anndata.AnnData:
    """Read the small cohort, 120 cells x 60 genes of four patients with two labels."""
    return anndata.read_h5ad(workspace.root / "cohort.h5ad")


def _load(place: Path, spec: dict[str, Any], **changes: object) -> Cohort:
    """Load the data as a stage does."""
    goal = parse_spec(spec)
    limits = LIMITS.model_copy(update=changes)
    sealed = SealedData(path=str(place), bytes=data_bytes(place), sha256=digest_data(place))
    return load_cohort(
        StepRequest(
            run_id="test",
            step="C/plan0",
            attempt=1,
            data=sealed,
            scope=goal.data,
            study=effective_study(goal, Adjustments(), "C"),
            k_by_method={},
            upstream={},
            limits=limits,
            caps=limits,
            workers=1,
        )
    )


def _written(change: Change, data: anndata.AnnData) -> anndata.AnnData:
    changed = change(data)
    return data if changed is None else changed


def _loom(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["matrix"] = np.zeros((2, 2))
        file.create_group("row_attrs")


def _ten_x(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["matrix/barcodes"] = np.zeros(2)


def _mudata(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("mod/rna")


FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "empty": (
        "cohort.h5ad",
        lambda path: path.write_bytes(b""),
        "is empty, not an HDF5 file; wait until it is written",
    ),
    "cut short": ("cohort.h5ad", lambda path: path.write_bytes(path.read_bytes()[:9000]), "is cut short"),
    "loom": ("cohort.loom", _loom, "is a loom file; convert it: anndata.io.read_loom"),
    "10x": ("cohort.h5", _ten_x, "is a 10x Genomics file; convert it: scanpy.read_10x_h5"),
    "mudata": ("cohort.h5mu", _mudata, "write one of its modalities as .h5ad"),
    "csv": ("cohort.csv", lambda path: path.write_text("gene,cell1\n"), "is a table of text; convert it"),
    "csv.gz": ("c.csv.gz", lambda path: path.write_bytes(gzip.compress(b"a,b")), "is a table of text; convert it"),
    "mtx": ("matrix.mtx", lambda path: path.write_text("%%MatrixMarket"), "scanpy.read_10x_mtx(folder)"),
    "h5ad.gz": ("cohort.h5ad.gz", lambda path: path.write_bytes(gzip.compress(b"x")), "unpack it first (gunzip)"),
    "login page": ("cohort2.h5ad", lambda path: path.write_text("<!doctype html>"), "download it again"),
    "folder": ("folder", lambda path: path.mkdir(), "is a folder and no zarr store"),
    "missing": ("nowhere.h5ad", lambda _: None, "no such file; give the path of an .h5ad file or a .zarr store"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_kind(workspace: Workspace, call: Call, declare: Declare, name: str) -> None:
    """Planning says what the file is and how its data get into the right format."""
    file, write, says = FILES[name]
    write(workspace.root / file)
    spec = declare("plan0")
    spec["data"]["path"] = file
    with pytest.raises(Refusal) as refused:
        call("plan_run", spec=spec)
    assert refused.value.code == "invalid_data"
    assert says in refused.value.message
    assert file in refused.value.message


def test_a_file_that_is_being_written(workspace: Workspace, call: Call, declare: Declare) -> None:
    """Another program's open file is waited for by the caller, not read."""
    code = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", code, str(workspace.root / "cohort.h5ad")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        with pytest.raises(Refusal, match="is open for writing elsewhere; wait until it is closed"):
            call("plan_run", spec=declare("plan0"))
        writer.communicate()


def _rename(names: pd.Index, **_: object) -> list[str]:
    return [str(names[0]), *map(str, names[:-1])]


def _set(data: anndata.AnnData, axis: str) -> None:
    setattr(data, f"{axis}_names", _rename(getattr(data, f"{axis}_names")))


def _raw_twice(data: anndata.AnnData) -> anndata.AnnData:
    whole = data.copy()
    _set(whole, "var")
    data.raw = whole
    return data


REFUSED: dict[str, tuple[Change, dict[str, Any], str]] = {
    "cell names twice": (lambda data: _set(data, "obs"), {}, "obs names are not unique"),
    "gene names twice": (lambda data: _set(data, "var"), {}, "var names are not unique (e.g. gene0)"),
    "raw gene names twice": (_raw_twice, {"counts": "raw"}, "var names are not unique (e.g. gene0)"),
    "no genes": (lambda data: data[:, :0].copy(), {}, "is 120 cells x 0 genes, so there is nothing to study"),
    "no cells": (lambda data: data[:0].copy(), {}, "is 0 cells x 60 genes, so there is nothing to study"),
    "no such matrix": (lambda _: None, {"counts": "layers/umi"}, "has no layers/umi; it has X"),
    "no such column": (lambda _: None, {"patient": "patients"}, "did you mean 'patient'?"),
    "complex numbers": (
        lambda data: anndata.AnnData(data.X.toarray().astype(complex), data.obs, data.var),
        {},
        "X holds complex",
    ),
    "one class": (
        lambda _: None,
        {"filters": [{"column": "label", "keep": ["normal"]}]},
        "every cell is 'normal' and none is 'malignant'",
    ),
    "no cells left": (
        lambda _: None,
        {"filters": [{"column": "label", "drop": ["normal", "malignant"]}]},
        "no cell of the 120 in the file is left with a label and a patient",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_data_that_no_study_can_use(
    workspace: Workspace, call: Call, declare: Declare, data: anndata.AnnData, name: str
) -> None:
    """Planning refuses what obs, var and shapes give away."""
    change, scope, says = REFUSED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata says of repeated names what we are to find
        _written(change, data).write_h5ad(workspace.root / "cohort.h5ad")
    spec = declare("plan0")
    spec["data"] |= scope
    with pytest.raises(Refusal) as refused:
        call("plan_run", spec=spec)
    assert refused.value.code == "invalid_data"
    assert says in refused.value.message


def test_a_patient_with_one_cell(workspace: Workspace, call: Call, declare: Declare, data: anndata.AnnData) -> None:
    """It is named and left out of classification; a variance within each patient is refused with the way out."""
    data.obs["patient"] = ["alone", *map(str, data.obs["patient"][1:])]
    data.write_h5ad(workspace.root / "cohort.h5ad")
    reply = call("plan_run", spec=declare("plan0"), dry_run=True)
    assert any("single class" in line and "alone" in line for line in reply["warnings"])
    by_patient = [{"method": "hvg", "n_top_genes": 20, "batch": "patient"}]
    with pytest.raises(Refusal, match=r"fewer than 3 cells: alone \(1\). Drop them by data.filters"):
        call("plan_run", spec=declare("plan0", preprocess=by_patient))
    cohort = _load(workspace.root / "cohort.h5ad", declare("plan0"))
    assert (cohort.patients == "alone").sum() == 1


def test_k_above_the_rank_is_told(call: Call, declare: Declare) -> None:
    """Planning warns of a K that the genes or the cells of a checkpoint do not have."""
    said = call("plan_run", spec=declare("plan0", reduction={"methods": ["pca"], "k": [5, 61]}), dry_run=True)
    assert any("K=61 of pca does not exist" in line and "at most 60" in line for line in said["warnings"])


def _nan_in_obs(data: anndata.AnnData) -> None:
    data.obs["patient"] = pd.Categorical([None, *data.obs["patient"][1:]])
    data.obs["label"] = pd.Categorical([*data.obs["label"][:-2], None, None])


def _unused(data: anndata.AnnData) -> None:
    data.obs["patient"] = data.obs["patient"].cat.add_categories(["nobody"])
    data.obs["label"] = data.obs["label"].cat.add_categories(["unclear"])


def _zeros(data: anndata.AnnData) -> None:
    x = data.X.toarray()
    x[:3], x[:, 7] = 0, 0
    data.X = sparse.csr_matrix(x)


def _as(kind: object) -> Change:
    def change(data: anndata.AnnData) -> anndata.AnnData:
        x = data.X if isinstance(kind, str) else data.X.astype(kind)
        x = {"csc": x.tocsc, "dense": x.toarray}[kind]() if isinstance(kind, str) else x
        return anndata.AnnData(x, data.obs, data.var)

    return change


WORKS: dict[str, tuple[Change, int, str | None]] = {
    "as it is": (lambda _: None, 120, None),
    "missing patients and labels": (_nan_in_obs, 117, "1 cells have no patient and are left out"),
    "unused categories": (_unused, 120, None),
    "empty cells and genes": (_zeros, 120, None),
    "constant column": (lambda data: data.obs.__setitem__("site", "only"), 120, None),
    "float64": (_as(np.float64), 120, None),
    "int64": (_as(np.int64), 120, None),
    "bool": (_as(np.bool_), 120, "X holds yes or no, not counts"),
    "CSC": (_as("csc"), 120, None),
    "dense": (_as("dense"), 120, None),
}


@pytest.mark.parametrize("name", WORKS)
def test_data_that_are_taken_as_they_are(
    workspace: Workspace, call: Call, declare: Declare, data: anndata.AnnData, name: str
) -> None:
    """They are planned, with a warning where something is left out, and loaded as whole counts."""
    change, n_cells, warning = WORKS[name]
    _written(change, data).write_h5ad(workspace.root / "cohort.h5ad")
    reply = call("plan_run", spec=declare("plan0"), dry_run=True)
    assert reply["n_cells"] == n_cells
    assert warning is None or any(warning in line for line in reply["warnings"])
    cohort = _load(workspace.root / "cohort.h5ad", declare("plan0"))
    assert cohort.counts.shape == (n_cells, 60)
    assert cohort.counts.dtype == np.float32
    assert cohort.obs.index.is_unique
    assert bool(cohort.notes) == (name == "empty cells and genes")
    assert not cohort.notes or cohort.notes[0].startswith("3 of 120 cells have no count of any gene")


def test_a_file_without_x(workspace: Workspace, call: Call, declare: Declare, data: anndata.AnnData) -> None:
    """Counts may lie in a layer alone; who asks for X is told where they are."""
    data.layers["counts"] = data.X.copy()
    data.X = None
    data.write_h5ad(workspace.root / "cohort.h5ad")
    with pytest.raises(Refusal, match=r"data\.counts: the file has no X; it has layers/counts"):
        call("plan_run", spec=declare("plan0"))
    spec = declare("plan0")
    spec["data"]["counts"] = "layers/counts"
    assert call("plan_run", spec=spec, dry_run=True)["n_cells"] == 120
    assert _load(workspace.root / "cohort.h5ad", spec).counts.shape == (120, 60)


def test_a_zarr_store(workspace: Workspace, call: Call, declare: Declare, data: anndata.AnnData) -> None:
    """It is planned, sealed by every file in it, found again after a move, and refused when a part was changed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which format anndata will write in future
        data.write_zarr(workspace.root / "cohort.zarr")
    spec = declare("plan0")
    spec["data"]["path"] = "cohort.zarr"
    assert call("plan_run", spec=spec)["n_cells"] == 120
    store = workspace.root / "cohort.zarr"
    cohort = _load(store, spec)
    np.testing.assert_array_equal(cohort.counts.toarray(), data.X.toarray())
    before = digest_data(store)
    shutil.move(store, workspace.root / "moved.zarr")
    assert digest_data(workspace.root / "moved.zarr") == before
    part = next(path for path in (workspace.root / "moved.zarr" / "X" / "data").rglob("*") if path.name.isdigit())
    part.write_bytes(part.read_bytes()[:-1] + b"\x00")
    assert digest_data(workspace.root / "moved.zarr") != before


VALUES = {
    "NaN": (np.nan, "1 are NaN or infinite"),
    "infinite": (np.inf, "1 are NaN or infinite"),
    "negative": (-1.0, "1 are negative"),
    "not whole": (0.5, "1 are not whole numbers"),
    "too large": (1e30, "1 are above 16,777,216"),
}


@pytest.mark.parametrize("memory", [2**32, 1], ids=["in memory", "from disk"])
@pytest.mark.parametrize("kind", VALUES)
def test_values_that_are_no_counts(
    workspace: Workspace, declare: Declare, data: anndata.AnnData, kind: str, memory: int
) -> None:
    """Loading says how many, where the first is, and which matrix to take instead."""
    value, says = VALUES[kind]
    counts = data.X.copy()
    x = data.X.toarray()
    x[7, 9] = value
    data.X = sparse.csr_matrix(x)
    data.layers["counts"] = counts
    data.write_h5ad(workspace.root / "cohort.h5ad")
    with pytest.raises(CountsUnusable) as unusable:
        _load(workspace.root / "cohort.h5ad", declare("plan0"), memory_bytes=memory)
    text = str(unusable.value)
    assert says in text
    assert "in cell cell7, gene gene9" in text
    assert "set data.counts: layers/counts" in text
