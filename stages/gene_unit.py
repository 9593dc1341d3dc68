"""Select the genes of one preprocess as a unit of work, or take what an earlier selection left in the run's cache."""

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from stagewright.stages.cohort.load import Cohort
from stagewright.stages.gene_log import gene_log
from stagewright.stages.matrix_inputs import matrix_inputs
from stagewright.stages.preprocess.gene_sets import GeneSets, parse_gmt
from stagewright.stages.preprocess.normalise import TARGET_SUM
from stagewright.stages.preprocess.select import select_genes
from stagewright.stages.protocol import StageContext, Unit
from stagewright.stages.unit_cache import UnitInputs
from stagewright.state.artifacts import ArtifactWriter
from stagewright.state.layout import gene_list_file
from stagewright.state.records import SealedData
from stagewright.state.spec.preprocess import GeneList, Preprocess

__all__ = ["gene_sets_of", "genes_of", "sealed_gene_sets"]

NOTHING: Mapping[str, JsonValue] = MappingProxyType({})


def genes_of(
    context: StageContext,
    cohort: Cohort,
    entry: Preprocess,
    place: PurePosixPath,
    *,
    name: str | None = None,
    also: Mapping[str, JsonValue] = NOTHING,
) -> NDArray[np.bool_]:
    """Return which genes an entry keeps of a cohort, shape (n_genes,); `gene_log.json` becomes an artifact at `place`.

    Parameters
    ----------
    name
        Of the unit; None for the usual one.
    also
        What the cohort differs by from the step's own cells and labels.

    Raises
    ------
    UnitFailed
        When no genes can be selected. No step can do without: such a failure is never tolerated.
    """
    # Plan 0 has one preprocess only, which nobody can leave out.
    unit = Unit(name or f"{entry.tag}/genes", preprocess=None if context.request.stage == "plan0" else entry.tag)
    with context.unit(unit, UnitInputs("genes", matrix_inputs(context.request, cohort, entry) | {**also})) as work:
        if not work.reused:
            target_sum = getattr(context.request.study.normalisation, "target_sum", TARGET_SUM)
            sets = gene_sets_of(context, entry)
            selection = select_genes(entry, cohort, gene_sets=sets, target_sum=target_sum)
            log = gene_log(entry.tag, selection, cohort.var_names, cohort.obs.index)
            work.value = list[JsonValue](map(int, np.flatnonzero(selection.mask)))

            def save(writer: ArtifactWriter) -> None:
                writer.write_json(PurePosixPath("gene_log.json"), log)

            work.write(save)
        work.put_into(context.artifacts, place)
        mask = np.zeros(len(cohort.var_names), dtype=np.bool_)
        mask[np.asarray(work.value, dtype=np.intp)] = True
    return mask


def gene_sets_of(context: StageContext, entry: Preprocess) -> GeneSets | None:
    """Return all sets of the file that a gene list names, from the run's sealed copy; see `sealed_gene_sets`."""
    return sealed_gene_sets(context.run, context.request.data, entry)


def sealed_gene_sets(run: Path, data: SealedData, entry: Preprocess) -> GeneSets | None:
    """Return all sets of the file that a gene list names, from the run's sealed copy; None for other methods.

    Raises
    ------
    ValueError
        The list was not sealed when the run was planned, or its copy is gone or was changed.
    """
    if not isinstance(entry, GeneList):
        return None
    digest = (data.gene_lists or {}).get(entry.path)
    if digest is None:
        raise ValueError(f"{entry.path} was not sealed when the run was planned; plan a new run with this list")
    path = run / gene_list_file(digest)
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{path}: the copy of {entry.path} that was sealed at planning is gone or changed; restore it")
    return parse_gmt(content)
