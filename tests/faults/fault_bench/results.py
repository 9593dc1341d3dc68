"""The results of a run: what its steps sealed, and whether two runs have the same."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagewright.state.artifacts import Artifact, read_outcome
from stagewright.state.ledger import Ledger
from stagewright.state.run_directory import RunDirectory

__all__ = ["Results", "differences", "results_of"]

TOLERANCE = 1e-10


@dataclass(frozen=True)
class Results:
    """The sealed artifacts of a run by their paths, and what its steps measured."""

    run: Path
    artifacts: dict[str, Artifact]
    metrics: dict[str, dict[str, float]]


def results_of(run: RunDirectory) -> Results:
    """Read the results of every step that a run has executed."""
    state = Ledger(run).fold()
    artifacts = {
        artifact.path: artifact
        for sealed in state.sealed.values()
        for artifact in read_outcome(run.path, sealed.artifacts).artifacts
    }
    return Results(run.path, artifacts, {step: sealed.metrics for step, sealed in state.sealed.items()})


def differences(found: Results, expected: Results) -> Iterator[str]:
    """Yield in words where two runs differ: in their files, by digest or else by numbers, or in their metrics."""
    for path in sorted(found.artifacts.keys() ^ expected.artifacts.keys()):
        yield f"{path}: only one of the two runs has it"
    for path in sorted(found.artifacts.keys() & expected.artifacts.keys()):
        one, other = found.artifacts[path], expected.artifacts[path]
        if one.sha256 != other.sha256 and not _equal(found.run / path, expected.run / path, one.format):
            yield f"{path}: differs"
    if found.metrics != expected.metrics:
        yield f"metrics: {found.metrics} where {expected.metrics} were measured"


def _equal(one: Path, other: Path, form: str) -> bool:
    """Return whether the numbers of two files agree to 1e-10, and everything else exactly."""
    import numpy as np  # noqa: PLC0415 - most runs agree by digest
    import pandas as pd  # noqa: PLC0415 - as above

    match form:
        case "npy":
            return np.allclose(np.load(one), np.load(other), rtol=0, atol=TOLERANCE)
        case "csv" | "parquet":
            read = pd.read_csv if form == "csv" else pd.read_parquet
            return _equal_tables(read(one), read(other))
        case "h5ad":
            return _equal_h5ad(one, other)
        case "json":
            return bool(json.loads(one.read_text()) == json.loads(other.read_text()))
        case _:
            return False


def _equal_tables(one: Any, other: Any) -> bool:  # noqa: ANN401 - data frames
    import pandas as pd  # noqa: PLC0415 - as above

    try:
        pd.testing.assert_frame_equal(one, other, rtol=0, atol=TOLERANCE)
    except AssertionError:
        return False
    return True


def _equal_h5ad(one: Path, other: Path) -> bool:
    import anndata  # noqa: PLC0415 - as above
    import numpy as np  # noqa: PLC0415 - as above

    left, right = anndata.read_h5ad(one), anndata.read_h5ad(other)
    arrays = [(left.X, right.X)]
    for name in ("obsm", "varm", "layers"):
        here, there = getattr(left, name), getattr(right, name)
        if set(here) != set(there):
            return False
        arrays += [(here[key], there[key]) for key in here]
    dense = [(_dense(here), _dense(there)) for here, there in arrays]
    return (
        all(np.allclose(here, there, rtol=0, atol=TOLERANCE, equal_nan=True) for here, there in dense)
        and _equal_tables(left.obs, right.obs)
        and _equal_tables(left.var, right.var)
    )


def _dense(array: Any) -> Any:  # noqa: ANN401 - a dense or sparse matrix
    return array.toarray() if hasattr(array, "toarray") else array
