"""The A/A control: write every file of a step again, unchanged, in the way in which faults change them."""

from pathlib import PurePosixPath

import h5py

from stagewright.gates.proving.spoiled_step import SpoiledStep

__all__ = ["rewrite_unchanged"]


def rewrite_unchanged(step: SpoiledStep) -> None:
    """Read and write each file of the step as a fault does, and change nothing.

    What the gates find then comes from the way of spoiling, and not from a fault.
    """
    for artifact in step.outcome.artifacts:
        path = PurePosixPath(artifact.path)
        match artifact.format:
            case "csv" if step.stage in {"plan0", "plan1a", "plan1b", "plan1c", "plan2"}:
                step.csv(path, lambda table: table)
            case "parquet":
                step.parquet(path, lambda table: table)
            case "npy":
                step.array(path, lambda array: array)
            case "h5ad":
                with step.h5ad(path) as file:
                    _write_again(file)
            case _:
                step.own(path)  # the same bytes under another inode


def _write_again(file: h5py.File) -> None:
    for name, array in file.get("obsm", {}).items():
        if isinstance(array, h5py.Dataset):
            file[f"obsm/{name}"][...] = array[()]
