"""Guess the data section of a goal spec from a file, with a reason for each guess; a person confirms them."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from stagewright.stages.cohort import column_words
from stagewright.stages.cohort.column_words import name_score
from stagewright.stages.cohort.guess_counts import guess_counts
from stagewright.stages.cohort.guess_label import guess_label
from stagewright.stages.cohort.guess_leaks import guess_leaks
from stagewright.stages.cohort.inspect_h5ad import inspect_h5ad
from stagewright.stages.cohort.obs_column import level_texts, read_obs_column
from stagewright.stages.cohort.open_data import open_data
from stagewright.stages.cohort.records import FileFacts, Guess, KGuess, LabelGuess, LeakGuess, Suggestions
from stagewright.stages.cohort.store import Store

MAX_CANDIDATE_LEVELS = 500
SAME_AS_LABEL = 0.95
"""A column this strongly associated with the label is the label under another name."""
K_LADDER = (2, 3, 5, 10, 15, 20, 30, 40, 60)
CELLS_PER_COMPONENT = 50
PATIENT_CELLS_PER_COMPONENT = 10
"""A component needs cells to be learnt from in the whole cohort, and, as a feature, in each patient's classifier."""


def suggest(path: str | Path) -> Suggestions:
    """Guess patient, label, time point, batch-like columns, leaks, counts and K.

    Reads obs, and a few thousand stored values of each matrix to tell counts from normalised values.

    Parameters
    ----------
    path
        An h5ad file or a zarr store.

    Returns
    -------
    Guesses with reasons and alternatives; JSON types only. A field nothing looks like is None.

    Raises
    ------
    CohortUnreadable
        The file cannot be read.
    """
    facts = inspect_h5ad(path)
    with open_data(Path(path)) as file:
        texts, numbers = _read_candidates(file, facts)
        counts = guess_counts(file, facts["matrices"])

    patient = _guess(texts, column_words.PATIENT, "patients", taken=())
    patients = texts.get(patient["value"] or "")
    timepoint = _guess(texts, column_words.TIMEPOINT, "time points", taken=_named(patient))
    cell_type = _guess(texts, column_words.CELL_TYPE, "cell types", taken=_named(patient, timepoint))
    technology = _guess(texts, column_words.TECHNOLOGY, "technologies", taken=_named(patient, timepoint, cell_type))
    source = _guess(texts, column_words.SOURCE, "sources", taken=_named(patient, timepoint, cell_type, technology))
    laid_out = _named(patient, timepoint, cell_type, technology, source)
    batch = _guess(texts, column_words.BATCH, "batches", taken=laid_out)
    label = guess_label({name: column for name, column in texts.items() if name not in laid_out}, patients)
    leaks = _leaks(texts, numbers, label, patients)
    timepoint, technology, source, batch = (
        _drop_if_label(guess, leaks) for guess in (timepoint, technology, source, batch)
    )
    design = _named(patient, timepoint, technology, source, batch)
    return {
        "patient": patient,
        "label": label,
        "timepoint": timepoint,
        "timepoint_levels": _levels(texts, timepoint),
        "source": source,
        "technology": technology,
        "batch": batch,
        "cell_type": cell_type,
        "leak_columns": [leak for leak in leaks if leak["column"] not in design],
        "counts": counts,
        "k": _guess_k(facts, texts, label, patients),
        "warnings": _warnings(facts, patient, label),
    }


def _read_candidates(file: Store, facts: FileFacts) -> tuple[dict[str, pd.Series], dict[str, pd.Series]]:
    """Read the columns with a bounded number of levels, as text, and the columns of numbers."""
    texts: dict[str, pd.Series] = {}
    numbers: dict[str, pd.Series] = {}
    for column in facts["obs_columns"]:
        if column["kind"] in {"real", "integer"}:
            numbers[column["name"]] = read_obs_column(file, column["name"])
        if column["kind"] != "real" and column["n_unique"] <= MAX_CANDIDATE_LEVELS:
            texts[column["name"]] = level_texts(read_obs_column(file, column["name"]))
    return texts, numbers


def _guess(texts: Mapping[str, pd.Series], words: tuple[str, ...], what: str, *, taken: Iterable[str]) -> Guess:
    """Choose the column whose name fits best; an earlier word wins over a later one."""
    free = [name for name in texts if name not in set(taken) and texts[name].nunique() > 0]
    scored = [(name_score(name, words), -_first_word(name, words), name) for name in free]
    fitting = sorted((entry for entry in scored if entry[0]), key=lambda entry: (-entry[0], -entry[1]))
    if not fitting:
        return {"value": None, "reason": f"no column is named like {what}", "alternatives": []}
    best = fitting[0][2]
    return {
        "value": best,
        "reason": f"its name reads like {what}; {texts[best].nunique()} levels",
        "alternatives": [name for _, _, name in fitting[1:]],
    }


def _first_word(name: str, words: tuple[str, ...]) -> int:
    """Give the place of the first word that fits the name."""
    return next((place for place, word in enumerate(words) if name_score(name, (word,))), len(words))


def _named(*guesses: Guess) -> list[str]:
    """List the columns that are guessed already."""
    return [guess["value"] for guess in guesses if guess["value"] is not None]


def _levels(texts: Mapping[str, pd.Series], guess: Guess) -> list[str]:
    """List the levels of a guessed column."""
    return [] if guess["value"] is None else sorted(texts[guess["value"]].dropna().unique())


def _leaks(
    texts: Mapping[str, pd.Series], numbers: Mapping[str, pd.Series], label: LabelGuess, patients: pd.Series | None
) -> list[LeakGuess]:
    """Look for leaks among the cells of the two classes.

    Only patients with both classes are looked at: between patients every property of a patient tells the label.
    """
    if label["column"] is None:
        return []
    labels = texts[label["column"]]
    cells = labels.isin([label["positive"], label["negative"]])
    if patients is not None:
        both = (pd.crosstab(patients[cells], labels[cells]) > 0).sum(axis=1) > 1
        cells &= patients.isin(both.index[both])
    return guess_leaks(
        {name: column[cells] for name, column in texts.items() if name != label["column"]},
        {name: column[cells] for name, column in numbers.items() if name not in texts},
        labels[cells] == label["positive"],
    )


def _drop_if_label(guess: Guess, leaks: list[LeakGuess]) -> Guess:
    """Withdraw a guess about the study's layout when the column is the label in other words."""
    strength = next((leak["strength"] for leak in leaks if leak["column"] == guess["value"]), 0.0)
    if strength < SAME_AS_LABEL:
        return guess
    reason = f"{guess['value']} was named like one but is the label in other words (Cramer's V {strength:.2f})"
    return {"value": None, "reason": reason, "alternatives": guess["alternatives"]}


def _guess_k(facts: FileFacts, texts: Mapping[str, pd.Series], label: LabelGuess, patients: pd.Series | None) -> KGuess:
    """Take three steps of a ladder below what cells, genes and patients can carry."""
    n_cells = facts["n_obs"]
    limits = {"cells": n_cells // CELLS_PER_COMPONENT, "genes": facts["n_vars"] // 10}
    if label["column"] is not None and patients is not None:
        table = pd.crosstab(patients, texts[label["column"]])[[label["positive"], label["negative"]]]
        both = table[(table > 0).all(axis=1)].sum(axis=1)
        if len(both):
            limits["cells of a median patient"] = int(both.median()) // PATIENT_CELLS_PER_COMPONENT
    tightest = min(limits, key=lambda name: limits[name])
    limit = limits[tightest]
    ladder = [k for k in K_LADDER if k <= limit] or [K_LADDER[0]]
    # The largest that the data carry, and about two thirds and one third of it.
    value = sorted({min(ladder, key=lambda k: abs(math.log(k / (ladder[-1] * part)))) for part in (1 / 3, 2 / 3, 1)})
    return {"value": value, "reason": f"at most {limit} components, limited by the number of {tightest}"}


def _warnings(facts: FileFacts, patient: Guess, label: LabelGuess) -> list[str]:
    """Say what a person must settle before the study can be planned."""
    said: list[str] = []
    if not facts["obs_names_unique"]:
        said.append("obs_names are not unique; results could not be traced back to cells")
    if not facts["var_names_unique"]:
        repeated = ", ".join(facts["repeated_var_names"])
        said.append(f"var_names are not unique (for example {repeated}); make them unique before planning")
    if patient["value"] is None:
        said.append("no patient column was found; name it in data.patient")
    if label["column"] is None:
        said.append("no label column was found; name it in data.label")
    return said
