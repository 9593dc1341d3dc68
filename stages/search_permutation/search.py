"""Score the grid of Plan 1B under many labellings of its cells: the observed one, and permutations within strata.

The best of many configurations scores well by the search alone. Here the whole search is done again for each labelling,
on the embeddings that are there, and its best score kept: where the observed best lies among those is how much the
search by itself explains. Embeddings that saw no label are the same under every labelling; a preprocess that chose its
genes by the label is left out, because its embedding is one of the observed labels.

The classifier is the one of `one_step`, and the folds are drawn without the labels, so that the best score is one
function of the labelling: the p value holds at any number of patients and cells, by exchangeability alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import JsonValue

from stagewright.stages.classify.folds import deal_out
from stagewright.stages.negative_controls.permute_labels import (
    Stratum,
    permute_labels,
    strata_of,
    stratum_numbers,
)
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_folds import split_patients
from stagewright.stages.plan1_grid import CellResult, ScoredCell, unit_of_cell
from stagewright.stages.plan1_inputs import cell_inputs
from stagewright.stages.plan1_tables import PatientCells, SummaryRow, l1_ratio_of, patients_of
from stagewright.stages.protocol import StageContext, Unit, UnitFailed
from stagewright.stages.search_permutation.one_step import one_step_auc
from stagewright.state.layout import search_cell
from stagewright.state.spec.effective import EffectiveStudy
from stagewright.state.step_units import search_unit, searched

__all__ = ["AUCS", "Labellings", "labellings_of", "score_labellings", "search_permutation"]

AUCS = "auc_by_labelling.parquet"

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Labellings:
    """The labellings of a cohort, each cell's class in one bit.

    Attributes
    ----------
    stratum
        Stratum of each cell, shape (n_cells,).
    packed
        Shape (1 + n_permutations, n_cells / 8); the first row is the observed labelling.
    """

    stratum: NDArray[np.int64]
    packed: NDArray[np.uint8] = field(repr=False)

    def of(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return the class of some cells by labelling, shape (1 + n_permutations, len(rows))."""
        bits = self.packed[:, rows // 8] >> (7 - rows % 8).astype(np.uint8)
        return (bits & 1).astype(np.bool_)


def labellings_of(positive: NDArray[np.bool_], strata: Sequence[Stratum], *, n: int, seed: int) -> Labellings:
    """Return the observed labels and n permutations of them within strata."""
    number = stratum_numbers(strata, pd.RangeIndex(positive.size)).to_numpy()
    drawn = (permute_labels(positive, strata, seed=seed, number=at) for at in range(1, n + 1))
    return Labellings(number, np.stack([np.packbits(one) for one in (positive, *drawn)]))


def search_permutation(context: StageContext, cohort: EmbeddedCohort) -> Iterator[tuple[str, str]]:
    """Score every method of one preprocess under all labellings, each a unit of work; yield what was scored.

    Yields
    ------
    Preprocess tag and method; nothing where the label chose the genes, nor a method that failed for good, where the
    spec allows that.

    Raises
    ------
    UnitFailed
        When more units fail than the spec allows.
    """
    request, study = context.request, context.request.study
    if cohort.tag not in [entry.tag for entry in searched(study)]:
        return
    strata = strata_of(cohort.obs, study.permutation_strata, cohort.positive)
    drawn = labellings_of(cohort.positive, strata, n=study.search_permutations, seed=study.permutation_seed)
    for method in cohort.scores:
        unit = Unit(search_unit(cohort.tag, method), method=method, preprocess=cohort.tag)
        inputs = cell_inputs("search", request, cohort, method, _drawing(study))
        place = search_cell(request.checkpoint, cohort.tag, method)
        try:
            unit_of_cell(context, unit, inputs, place, partial(_score, labellings=drawn), cohort)
        except UnitFailed as failed:
            context.tolerate(failed)
            continue
        yield cohort.tag, method


def score_labellings(
    embedding: _Floats,
    patient: PatientCells,
    n_folds: int,
    stratum: NDArray[np.int64],
    labels: NDArray[np.bool_],
    alphas: _Floats,
    l1_ratio: float,
) -> NDArray[np.float32]:
    """Return one patient's AUC within strata by labelling and alpha, shape (n_labellings, m).

    Parameters
    ----------
    embedding
        Of all cells, shape (n_cells, k).
    stratum, labels
        Of the patient's cells, shape (n,) and (n_labellings, n).
    """
    folds = _folds(patient, n_folds, stratum)
    return one_step_auc(embedding[patient.rows], labels, folds, stratum, alphas, l1_ratio).astype(np.float32)


def _folds(patient: PatientCells, n_folds: int, stratum: NDArray[np.int64]) -> NDArray[np.int64]:
    """Deal a patient's cells, or its groups, out to folds, without a look at the labels."""
    seed = np.random.SeedSequence([patient.seed, 1])
    if patient.groups is None:
        return deal_out((stratum == number for number in np.unique(stratum)), n_folds, seed)
    names, group = np.unique(patient.groups.astype(str), return_inverse=True)
    sizes = np.bincount(group)
    order = np.random.default_rng(seed).permutation(names.size)
    of_group, filled = np.empty(names.size, dtype=np.int64), np.zeros(n_folds, dtype=np.int64)
    for number in order[np.argsort(-sizes[order], kind="stable")]:  # the largest first, each to the emptiest fold
        of_group[number] = int(np.argmin(filled))
        filled[of_group[number]] += sizes[number]
    return np.unique(of_group[group], return_inverse=True)[1].astype(np.int64)


def _score(context: StageContext, cohort: EmbeddedCohort, method: str, *, labellings: Labellings) -> ScoredCell:
    request, study = context.request, context.request.study
    executor, alphas = context.executor, np.asarray(study.alphas)
    patients = patients_of(cohort, request.scope.patient, study.group)
    kept, skipped, notes = split_patients(patients, study, f"{cohort.tag}/{method}")
    kept = [item for item in kept if _permutable(item[0], labellings.stratum[item[0].rows])]
    embedding = cohort.scores[method].astype(np.float64)
    shared = executor.share(embedding, np.asarray, a=embedding)
    tables = [_table("", "", alphas[:0], np.empty((0, 0), dtype=np.float32))]
    rows: list[SummaryRow] = []
    try:
        for penalty in study.penalties:

            def score(item: tuple[PatientCells, int], penalty: str = penalty) -> pd.DataFrame:
                patient, n_folds = item
                stratum, labels = labellings.stratum[patient.rows], labellings.of(patient.rows)
                ratio = l1_ratio_of(study, penalty)
                auc = executor.call(score_labellings, shared, patient, n_folds, stratum, labels, alphas, ratio)
                return _table(patient.name, penalty, alphas, auc)

            tables += context.map(score, kept, rounds=len(study.penalties))
            named: SummaryRow = {"preprocess": cohort.tag, "method": method, "k": int(embedding.shape[1])}
            rows.append(named | {"penalty": penalty, "n_patients": len(kept)})
    finally:
        shared.forget()
    return ScoredCell(CellResult(rows, skipped, notes), {AUCS: pd.concat(tables, ignore_index=True)})


def _drawing(study: EffectiveStudy) -> dict[str, JsonValue]:
    """Return what makes the labellings, for the key of a unit."""
    return {
        "permutations": study.search_permutations,
        "permutation_seed": study.permutation_seed,
        "permutation_strata": [*study.permutation_strata],
    }


def _permutable(patient: PatientCells, stratum: NDArray[np.int64]) -> bool:
    """Return whether a permutation may change how the patient's cells rank: some stratum has both classes."""
    return any(np.unique(patient.positive[stratum == number]).size > 1 for number in np.unique(stratum))


def _table(patient: str, penalty: str, alphas: _Floats, auc: NDArray[np.float32]) -> pd.DataFrame:
    """Return a row for each labelling and alpha."""
    n = auc.shape[0]
    return pd.DataFrame(
        {
            "patient": pd.Series(np.full(auc.size, patient, dtype=object), dtype=object),
            "penalty": pd.Series(np.full(auc.size, penalty, dtype=object), dtype=object),
            "labelling": np.repeat(np.arange(n, dtype=np.int32), alphas.size),
            "alpha": np.tile(alphas, n),
            "auc_within_strata": auc.ravel(),
        }
    )
