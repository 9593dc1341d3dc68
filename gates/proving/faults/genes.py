"""Faults of the selection of genes."""

import json
import re
import shutil
from pathlib import PurePosixPath

import pandas as pd

from stagewright.gates.cohort_obs import labelled_cells
from stagewright.gates.places import embedding_file
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.state.artifacts import Outcome
from stagewright.state.canonical import digest_names
from stagewright.state.layout import fold_genes_folder, preprocess_folder, twin_genes_folder
from stagewright.state.spec.preprocess import DegWeakScreen
from stagewright.state.step_units import has_twin

__all__ = ["chosen_by_label", "selected_on_all"]


def chosen_by_label(step: SpoiledStep) -> None:
    """Let the label choose the genes of one preprocess, in the request and in every name that follows from it."""
    study = step.request.study
    honest = next((entry for entry in study.preprocess if not entry.supervised), None)
    if honest is None:
        raise DoesNotApply("every preprocess of the request uses the label already, and the clean copy is warned of it")
    if study.scope == "pipeline":
        raise DoesNotApply("cv.scope pipeline chooses the genes inside each training fold")
    if not step.has(embedding_file(step.request.checkpoint, honest.tag)):
        raise DoesNotApply(f"{step.asked.step} reads the genes of an earlier step")
    screened = DegWeakScreen(method="deg_weak_screen", min_genes=len(honest.tag) + 7)  # a tag that no entry has
    renamed = tuple(screened if entry is honest else entry for entry in study.preprocess)
    step.request = step.request.model_copy(update={"study": study.model_copy(update={"preprocess": renamed})})

    if has_twin(step.stage, study):
        _add_genes_of_the_twin(step, honest.tag)

    def renamed_rows(table: pd.DataFrame) -> pd.DataFrame:
        if "preprocess" not in table:
            return table
        return table.assign(preprocess=table["preprocess"].replace(honest.tag, screened.tag))

    whole_tag = re.compile(rf"(?<![0-9A-Za-z_]){re.escape(honest.tag)}(?![0-9A-Za-z_])")
    for artifact in step.outcome.artifacts:
        if artifact.format == "csv":
            step.csv(artifact.path, renamed_rows)
        path = step.run / artifact.path
        place = step.run / PurePosixPath(whole_tag.sub(screened.tag, artifact.path))
        if place != path:
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
    said = json.loads(whole_tag.sub(screened.tag, step.outcome.model_dump_json(exclude_none=True)))
    step.outcome = Outcome.model_validate(said)


def selected_on_all(step: SpoiledStep) -> None:
    """Let the genes of the first fold be selected on all cells, those left out among them."""
    study, tag = step.request.study, step.request.study.preprocess[0].tag
    cells = labelled_cells(step.context, tag)
    if study.scope != "pipeline" or cells is None:
        raise DoesNotApply("the scope of cross-validation is the classifier: genes are selected once, on all cells")
    said = {"n_cells": len(cells), "sha256": digest_names(cells["cell"])}
    place = fold_genes_folder(step.request.checkpoint, tag, 0, 0) / "gene_log.json"
    step.json(place, lambda log: log.update(cells=said))


def _add_genes_of_the_twin(step: SpoiledStep, tag: str) -> None:
    """Let the null twin keep a gene log of its own, as it does where the label of all cells chose the genes."""
    source = str(preprocess_folder(step.request.checkpoint, tag) / "gene_log.json")
    of_twin = twin_genes_folder(step.request.checkpoint, step.stage, tag) / "gene_log.json"
    for artifact in step.outcome.artifacts:
        if artifact.path == source:
            (step.run / of_twin).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(step.run / source, step.run / of_twin)
            again = artifact.model_copy(update={"path": str(of_twin)})
            step.outcome = step.outcome.model_copy(update={"artifacts": (*step.outcome.artifacts, again)})
            return
