"""Guess which column is the label, and which level is its positive class."""

from collections.abc import Mapping

import pandas as pd

from stagewright.stages.cohort.column_words import LABEL, class_of_level, name_score
from stagewright.stages.cohort.records import LabelGuess

MAX_LABEL_LEVELS = 6
MIN_CLASS_SHARE = 0.02
"""A class with fewer of the cells than this is no class to learn."""


def guess_label(columns: Mapping[str, pd.Series], patient: pd.Series | None) -> LabelGuess:
    """Choose the column whose two largest classes read most like a positive and a negative one.

    Parameters
    ----------
    columns
        Candidate columns of obs by name, as text.
    patient
        The patient column when it is known: a label that varies within patients is one that can be learnt.

    Returns
    -------
    The guess, with the runners-up as alternatives; `column` is None when no column has two sizeable levels.
    """
    ranked: list[tuple[int, str, str, str, str]] = []
    for name, column in columns.items():
        pair = _two_classes(column)
        if pair is None:
            continue
        positive, negative, score, why = pair
        words = name_score(name, LABEL)
        if words:
            score += words
            why.append("its name reads like a label")
        if score == 0:
            continue
        if patient is not None:
            both = _patients_with_both(column, patient, positive, negative)
            score += 2 if both else -2
            why.append(f"{both} of {patient.nunique()} patients have both classes")
        ranked.append((score, name, positive, negative, "; ".join(why)))
    ranked.sort(key=lambda entry: -entry[0])
    if not ranked:
        return {
            "column": None,
            "positive": None,
            "negative": None,
            "other_levels": [],
            "reason": f"no column has 2 to {MAX_LABEL_LEVELS} levels that read like two classes",
            "alternatives": [],
        }
    _, name, positive, negative, reason = ranked[0]
    present = sorted(columns[name].dropna().unique())
    return {
        "column": name,
        "positive": positive,
        "negative": negative,
        "other_levels": [level for level in present if level not in {positive, negative}],
        "reason": reason,
        "alternatives": [entry[1] for entry in ranked[1:]],
    }


def _two_classes(column: pd.Series) -> tuple[str, str, int, list[str]] | None:
    """Pick a positive and a negative level, a score, and the reasons."""
    counts = column.value_counts()
    counts = counts[counts >= MIN_CLASS_SHARE * len(column)]
    if not 2 <= column.nunique() <= MAX_LABEL_LEVELS or len(counts) < 2:  # noqa: PLR2004 - two classes
        return None
    levels = [str(level) for level in counts.index]
    positives = [level for level in levels if class_of_level(level) == "positive"]
    negatives = [level for level in levels if class_of_level(level) == "negative"]
    if positives and negatives:
        return (
            positives[0],
            negatives[0],
            4,
            [f"its levels {positives[0]!r} and {negatives[0]!r} read like two classes"],
        )
    if positives:
        other = next(level for level in levels if level not in positives[:1])
        return positives[0], other, 2, [f"its level {positives[0]!r} reads like a positive class"]
    if negatives:
        other = next(level for level in levels if level not in negatives[:1])
        return other, negatives[0], 2, [f"its level {negatives[0]!r} reads like a negative class"]
    # Without a word to go by the rarer of the two is taken as the one to be found.
    return levels[1], levels[0], 0, [f"its two largest levels; which is positive is a guess: {levels[1]!r} is rarer"]


def _patients_with_both(column: pd.Series, patient: pd.Series, positive: str, negative: str) -> int:
    """Count the patients who have cells of both classes."""
    table = pd.crosstab(patient, column)
    return int(((table[positive] > 0) & (table[negative] > 0)).sum())
