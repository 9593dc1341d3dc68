"""How much two files differ, by format."""

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from stagewright.stages.file_differences import file_difference
from stagewright.state.artifacts import ArtifactFormat
from stagewright.state.file_differences import FileDifference, FilePair


def difference(form: ArtifactFormat, before: Path, after: Path) -> FileDifference:
    """Compare two files."""
    return file_difference(FilePair(name="x", format=form, before=str(before), after=str(after)))


@pytest.mark.parametrize("form", ["csv", "parquet", "npy", "json", "h5ad"])
def test_the_largest_differences_are_measured(form: ArtifactFormat, tmp_path: Path) -> None:
    """One number of three is another by a half; NaN beside NaN is the same."""
    paths = [tmp_path / f"{name}.{form}" for name in ("before", "after")]
    for path, value in zip(paths, (2.0, 2.5), strict=True):
        numbers = np.array([1.0, value, np.nan])
        if form == "npy":
            np.save(path, numbers)
        elif form == "json":
            path.write_text(json.dumps({"a": {"x": [1.0, value]}, "name": "same"}))
        elif form == "h5ad":
            obs = pd.DataFrame({"x": numbers}, index=list("abc"))
            anndata.AnnData(X=np.ones((3, 1), dtype=np.float32), obs=obs).write_h5ad(path)
        else:
            table = pd.DataFrame({"who": ["a", "b", "c"], "x": numbers})
            table.to_csv(path, index=False) if form == "csv" else table.to_parquet(path, index=False)
    found = difference(form, *paths)
    assert found.fault is None
    (part,) = found.parts
    assert (part.n_different, part.largest_absolute, part.largest_relative) == (1, 0.5, 0.2)
    assert not difference(form, paths[0], paths[0]).parts


def test_what_cannot_be_subtracted_is_said(tmp_path: Path) -> None:
    """Other shapes, other columns, texts, a file that is no such file."""
    before, after = tmp_path / "before", tmp_path / "after"
    before.write_text("a,b\n1,x\n")
    after.write_text("a,c\n1,x\n")
    assert difference("csv", before, after).fault == "other parts: b, c"
    after.write_text("a,b\n1,x\n2,y\n")
    assert "other shapes" in (difference("csv", before, after).fault or "")
    after.write_text("a,b\n1,y\n")
    assert difference("csv", before, after).parts[0].largest_absolute is None
    assert "cannot be compared" in (difference("parquet", before, after).fault or "")
    assert "nothing in them is a number" in difference("other", before, after).said()
