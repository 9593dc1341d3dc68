"""No cell is there twice, under one donor or two."""

from collections.abc import Iterator
from functools import partial

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem
from numpy.typing import NDArray

from stagewright.gates.catalogue import threshold
from stagewright.gates.finding import bounded
from stagewright.gates.places import embedding_file
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.twin_cells import Twins, exact_twins, near_twins, shared_barcodes

__all__ = ["donor_identity"]

_finding = partial(Finding, gate="donor_identity")
DEPTH = ("stagewright_library_size", "stagewright_detected_genes")
BARCODES = 0.05
WHY = (
    "A cell that is there twice is trained on and tested on at once, in whichever fold its twin lies; under two donors "
    "it makes one donor's score another's."
)
REMEDY = "To pass: remove the repeated cells from the data file and plan a new run on it."
SWAPPED = (
    "Barcodes are drawn from a list so long that two libraries share few: donors that share many may be one library "
    "under two names. To pass: find out, and merge or remove one of them."
)


def donor_identity(context: GateContext) -> Iterator[Finding]:
    """Look for cells that are there twice, and compare their share with the bound, 0.01 by default.

    Looked for are, in obs and the embeddings of the first `adata_with_dr.h5ad`: cells whose axes and depth are those of
    another cell to five digits; for 2,000 cells drawn under a fixed seed, others of the same depth in the same
    direction (a cosine above 0.9999 of the standardised axes, 20 at least); and pairs of donors that share the barcodes
    in their cells' names. Both are counted within a donor, where folds part the twins, and between donors.

    Notes
    -----
    One donor with both labels is what this project studies, and no fault. Any twin is a warning; more than the bound is
    a failure: at 0.01 a perfect memory of the twins lifts an AUC by no more than 0.005. In 2,000 to 10,000 real cells
    there is none of either kind. Barcodes are a warning when a donor shares more than 0.05 of its own with another; by
    chance 5,000 cells share 0.007 with 5,000 others (a list of 737,000), in real data 0.004 were seen.
    """
    tag = context.request.study.preprocess[0].tag
    path = context.run / embedding_file(context.request.checkpoint, tag)
    read = _read(context, str(path)) if path.is_file() else None
    if read is None:
        return  # `promised_files` reports it
    cells, patient, depth, embeddings = read
    most = threshold(context, "donor_identity", "at_most")
    codes = pd.factorize(patient)[0]
    looked = [("the same", exact_twins(embeddings, depth, cells, codes))]
    if (near := near_twins(embeddings, depth, cells, codes)) is not None:
        looked.append(("nearly the same", near))
    faults = [fault for kind, twins in looked for fault in _twins(context, kind, twins, most)]
    yield from faults
    shared = {pair: share for pair, share in shared_barcodes(cells, patient).items() if share > BARCODES}
    yield from bounded(
        _finding(
            subject=f"donors {pair[0]} and {pair[1]}",
            severity="warn",
            measured=f"{share:.3f} of the smaller one's barcodes are the other's too",
            threshold=f"at most {BARCODES:g}",
            reason=SWAPPED,
        )
        for pair, share in sorted(shared.items(), key=lambda item: -item[1])
    )
    if not faults and not shared:
        measured = f"none of {len(cells)} cells is there twice, and none of {looked[-1][1].looked_at} nearly"
        measured = measured if near is not None else f"none of {len(cells)} cells is there twice"
        yield _finding(
            subject=context.request.step, severity="pass", measured=measured, threshold=f"at most {most:g}", reason=WHY
        )


def _read(
    context: GateContext, path: str
) -> tuple[NDArray[np.object_], NDArray[np.object_], NDArray[np.float64], NDArray[np.float64]] | None:
    """Return name, patient, depth and all axes of each cell."""
    with h5py.File(path, "r") as file:
        obs = file["obs"]
        cells = np.asarray(read_elem(obs[obs.attrs["_index"]]), dtype=object)
        patient = pd.Series(read_elem(obs[context.request.scope.patient])).astype(str).to_numpy(dtype=object)
        depth = [np.asarray(read_elem(obs[name]), dtype=np.float64) for name in DEPTH if name in obs]
        axes = [
            np.nan_to_num(np.asarray(file[f"obsm/X_{method}"][()], dtype=np.float64))
            for method in context.request.study.methods
            if f"obsm/X_{method}" in file
        ]
    if not axes:
        return None
    return cells, patient, np.column_stack(depth) if depth else np.zeros((cells.size, 0)), np.column_stack(axes)


def _twins(context: GateContext, kind: str, twins: Twins, most: float) -> Iterator[Finding]:
    for number, where in ((twins.between, "another donor"), (twins.within, "the same donor")):
        if number:
            share = number / twins.looked_at
            example = "" if twins.example is None else f", e.g. {' and '.join(twins.example)}"
            yield _finding(
                subject=f"{context.request.step}: {kind} cell in {where}",
                severity="fail" if share > most else "warn",
                measured=f"{number} of {twins.looked_at} cells ({share:.4f}){example}",
                threshold=f"none (fails above {most:g})",
                reason=f"{WHY} {REMEDY}",
            )
