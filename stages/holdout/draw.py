"""Draw the patients of the sealed hold-out: the same ones whenever the same patients are planned."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from stagewright.stages.cohort.obs_column import level_texts, read_names, read_obs_column
from stagewright.stages.cohort.open_data import open_data
from stagewright.stages.cohort.records import PatientCount
from stagewright.stages.cohort.unreadable import CohortMismatch
from stagewright.state.holdout import HoldoutDraw, HoldoutWish, n_put_aside

__all__ = ["draw_holdout", "patient_digests"]

LONGEST = 500
"""As a level of a goal spec."""


def draw_holdout(patients: Sequence[PatientCount], digests: Mapping[str, str], wish: HoldoutWish) -> HoldoutDraw:
    """Draw a share of the patients, stratified by which classes they have.

    Within a stratum the patients that earlier plans put aside come first, in that order. The others are sorted by their
    time points and number of cells and cut into as many parts as patients are still wanted, so that each size has its
    chance; of each part the patient with the smallest digest is drawn. There is no random number and no seed to choose:
    who is drawn depends on the names of the cells, on the scope and on the share.

    Parameters
    ----------
    patients
        In scope, with their cells of each class.
    digests
        Of each patient, from `patient_digests`.

    Raises
    ------
    CohortMismatch
        A patient's name cannot be written in a filter.
    """
    for item in patients:
        if item["patient"].strip() != item["patient"] or not 0 < len(item["patient"]) <= LONGEST:
            raise CohortMismatch(
                f"holdout: the patient {item['patient'][:LONGEST]!r} has a name that is empty, too long, or begins or "
                "ends with white space; give it another in the file",
                named=item["patient"],
                allowed=[],
            )
    strata: dict[str, list[PatientCount]] = {}
    for item in patients:
        strata.setdefault(_classes(item), []).append(item)
    rank = {digest: place for place, digest in enumerate(wish.earlier)}
    drawn: list[PatientCount] = []
    for _, stratum in sorted(strata.items()):
        drawn += _of_stratum(stratum, digests, rank, n_put_aside(wish.fraction, len(stratum)))
    drawn.sort(key=lambda item: item["patient"])
    return HoldoutDraw(
        patients=tuple(item["patient"] for item in drawn),
        digests=tuple(digests[item["patient"]] for item in drawn),
        n_both=sum(_classes(item) == "both" for item in drawn),
        n_both_in_all=len(strata.get("both", [])),
        n_cells=sum(item["positive"] + item["negative"] for item in drawn),
    )


def _classes(patient: PatientCount) -> str:
    if patient["positive"] and patient["negative"]:
        return "both"
    return "positive" if patient["positive"] else "negative"


def _of_stratum(
    stratum: Sequence[PatientCount], digests: Mapping[str, str], rank: Mapping[str, int], wanted: int
) -> list[PatientCount]:
    known = [item for item in stratum if digests[item["patient"]] in rank]
    drawn = sorted(known, key=lambda item: rank[digests[item["patient"]]])[:wanted]
    left = [item for item in stratum if item not in known]
    left.sort(
        key=lambda item: (
            sorted(item["timepoints"]),
            item["positive"] + item["negative"],
            digests[item["patient"]],
        ),
    )
    parts = min(wanted - len(drawn), len(left))
    for part in range(parts):
        some = left[part * len(left) // parts : (part + 1) * len(left) // parts]
        drawn.append(min(some, key=lambda item: digests[item["patient"]]))
    return drawn


def patient_digests(path: Path, column: str, pseudonyms: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the sha256 over the names of each patient's cells in the whole file, by patient.

    The cells' names are those of the file, so that a patient is known whatever a study calls it and its cells.

    Parameters
    ----------
    pseudonyms
        What each patient is called; None for its id.
    """
    names = pseudonyms or {}
    with open_data(path) as file:
        patients = level_texts(read_obs_column(file, column)).to_numpy(dtype=object)
        cells = read_names(file, "obs").to_numpy(dtype=object)
    found: dict[str, str] = {}
    known = np.array([isinstance(patient, str) for patient in patients], dtype=bool)
    order = np.argsort(patients[known].astype(str), kind="stable")
    of_cells, of = cells[known][order], patients[known][order].astype(str)
    starts = np.flatnonzero(np.r_[True, of[1:] != of[:-1]]) if len(of) else np.zeros(0, dtype=np.intp)
    for start, stop in zip(starts, [*starts[1:], len(of)], strict=True):
        digest = hashlib.sha256()
        for name in sorted(map(str, of_cells[start:stop])):
            digest.update(f"{len(name)}:{name}".encode())
        patient = str(of[start])
        found[names.get(patient, patient)] = digest.hexdigest()
    return found
