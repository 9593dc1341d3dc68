"""The version of the code that a kind of unit depends on: a digest of its source files, and its packages' versions.

Named part by part, so that whoever asks why a unit ran again is told which part changed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Literal

__all__ = ["Kind", "code_version"]

Kind = Literal[
    "genes", "fit", "held_out", "paths", "cv", "twin", "search", "refit", "benchmark", "benchmark_twin", "command"
]
ROOMS = Path(__file__).parents[2]
NUMERICS = ("numpy", "scipy", "scikit-learn", "numba")
GENES = (*NUMERICS, "scanpy", "scikit-misc", "anndata")
"""With those that choose highly variable genes and read the counts."""
BENCHMARK = (
    "stages/classify",
    "stages/plan1c_cell.py",
    "stages/plan1c_draws.py",
    "stages/plan1c_parts.py",
    "stages/plan1c_scores.py",
    "stages/plan1c_tables.py",
    "stages/plan1_tables.py",
    "stages/plan1_grid.py",
    "stages/preprocess/downsample.py",
    "state/plan1c_models.py",
    "stages/files.py",
)
"""What scores the models of Plan 1C, under observed and under permuted labels."""


@dataclass(frozen=True, slots=True)
class _Code:
    """What a kind depends on.

    Attributes
    ----------
    sources
        Files, and folders with all the Python files in them, relative to the folder of the rooms.
    packages
        Names of distributions.
    """

    sources: tuple[str, ...]
    packages: tuple[str, ...] = NUMERICS


CODE: Mapping[Kind, _Code] = MappingProxyType(
    {
        "genes": _Code(("stages/cohort", "stages/preprocess", "stages/gene_log.py", "stages/gene_unit.py"), GENES),
        "fit": _Code(
            (
                "stages/cohort",
                "stages/preprocess",
                "stages/reduction",
                "stages/classify/threads.py",
                "stages/fits.py",
                "stages/gene_unit.py",
                "stages/share_matrix.py",
                "stages/files.py",
                "stages/bootstrapped.py",
                "stages/stability/bootstrap.py",
            ),
            GENES,
        ),
        "held_out": _Code(
            (
                "stages/cohort",
                "stages/preprocess",
                "stages/reduction",
                "stages/classify/threads.py",
                "stages/fits.py",
                "stages/gene_unit.py",
                "stages/share_matrix.py",
                "stages/largest_k.py",
                "stages/held_out_unit.py",
                "stages/stability/factor_model.py",
                "stages/stability/held_out.py",
                "stages/stability/held_out_errors.py",
                "stages/stability/hold_out.py",
            ),
            GENES,
        ),
        "paths": _Code(
            (
                "stages/classify",
                "stages/plan1a.py",
                "state/plan1c_models.py",
                "stages/plan1_tables.py",
                "stages/plan1_grid.py",
                "stages/files.py",
            ),
            (*NUMERICS, "pandas"),
        ),
        "cv": _Code(
            (
                "stages/classify",
                "stages/plan1b.py",
                "stages/plan1b_tables.py",
                "stages/plan1_folds.py",
                "stages/refit",
                "state/plan1c_models.py",
                "stages/plan1_tables.py",
                "stages/plan1_grid.py",
                "stages/files.py",
            ),
            (*NUMERICS, "pandas", "pyarrow"),
        ),
        "twin": _Code(
            (
                "stages/classify",
                "stages/negative_controls/auc_within.py",
                "stages/negative_controls/null_twin.py",
                "stages/negative_controls/permute_labels.py",
                "stages/plan1_folds.py",
                "stages/refit",
                "state/plan1c_models.py",
                "stages/plan1_tables.py",
                "stages/plan1_grid.py",
                "stages/files.py",
            ),
            (*NUMERICS, "pandas", "pyarrow"),
        ),
        "search": _Code(
            (
                "stages/classify/folds.py",
                "stages/search_permutation",
                "stages/negative_controls/permute_labels.py",
                "stages/plan1_folds.py",
                "state/plan1c_models.py",
                "stages/plan1_tables.py",
                "stages/plan1_grid.py",
                "stages/files.py",
            ),
            (*NUMERICS, "pandas", "pyarrow"),
        ),
        "refit": _Code(
            (
                "stages/cohort",
                "stages/preprocess",
                "stages/reduction",
                "stages/classify",
                "stages/refit",
                "stages/fits.py",
                "stages/gene_unit.py",
                "stages/share_matrix.py",
                "stages/plan1_folds.py",
                "stages/plan1_tables.py",
                "state/plan1c_models.py",
                "stages/files.py",
            ),
            GENES,
        ),
        "benchmark": _Code(BENCHMARK, (*NUMERICS, "pandas", "pyarrow")),
        "benchmark_twin": _Code(
            (
                *BENCHMARK,
                "stages/negative_controls/auc_within.py",
                "stages/negative_controls/benchmark_twin.py",
                "stages/negative_controls/permute_labels.py",
            ),
            (*NUMERICS, "pandas", "pyarrow"),
        ),
        "command": _Code(("stages/command.py",), ()),
    }
)


@lru_cache
def code_version(kind: Kind) -> Mapping[str, str]:
    """Return the digest of each source and the version of each package that a kind depends on.

    Computed once in a process: the code that was loaded is the code that runs, whatever happens to its files.
    """
    code = CODE[kind]
    digests = {source: _digest(ROOMS / source) for source in code.sources}
    return MappingProxyType(digests | {package: _installed(package) for package in code.packages})


def _digest(source: Path) -> str:
    """Return the sha256 over a file, or over the names and contents of a folder's Python files."""
    files = sorted(source.rglob("*.py")) if source.is_dir() else [source]
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(source.parent).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
