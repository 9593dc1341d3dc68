"""Write tables, arrays and AnnData files as artifacts, each with what it promises."""

from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from anndata import AnnData

from stagewright.state.artifacts import Artifact, ArtifactWriter

__all__ = ["save_array", "save_csv", "save_h5ad", "save_parquet"]


def save_array(writer: ArtifactWriter, path: PurePosixPath, array: np.ndarray) -> Artifact:
    """Write an array as .npy."""
    np.save(writer.place(path), array, allow_pickle=False)
    return writer.record(path, "npy", shape=array.shape)


def save_csv(writer: ArtifactWriter, path: PurePosixPath, table: pd.DataFrame) -> Artifact:
    """Write a table as .csv without its index; numbers keep their full precision."""
    table.to_csv(writer.place(path), index=False)
    return writer.record(path, "csv", shape=table.shape, columns=map(str, table.columns))


def save_parquet(writer: ArtifactWriter, path: PurePosixPath, table: pd.DataFrame) -> Artifact:
    """Write a table as .parquet without its index."""
    table.to_parquet(writer.place(path), index=False)
    return writer.record(path, "parquet", shape=table.shape, columns=map(str, table.columns))


def save_h5ad(writer: ArtifactWriter, path: PurePosixPath, data: AnnData) -> Artifact:
    """Write an AnnData file."""
    data.write_h5ad(writer.place(path), compression="gzip", compression_opts=1)
    return writer.record(
        path,
        "h5ad",
        shape=(data.n_obs, data.n_vars),
        obs=map(str, data.obs.columns),
        obsm={name: int(array.shape[1]) for name, array in data.obsm.items()},
        varm={name: int(array.shape[1]) for name, array in data.varm.items()},
    )
