"""A checkpoint's share of each patient's cells."""

import numpy as np
import pandas as pd

from stagewright.stages.cohort.draw_cells import draw_cells


def _cohort(sizes: dict[str, tuple[int, int]]) -> tuple[pd.Series, np.ndarray]:
    patients = [name for name, (positive, negative) in sizes.items() for _ in range(positive + negative)]
    classes = [flag for positive, negative in sizes.values() for flag in [True] * positive + [False] * negative]
    return pd.Series(patients), np.array(classes)


def test_a_small_patient_keeps_every_cell() -> None:
    """Up to the bound nothing is drawn; without a bound nothing ever is."""
    patients, positive = _cohort({"P1": (5, 15), "P2": (300, 300)})
    drawn = draw_cells(patients, positive, 20)
    assert drawn[:20].all()
    assert drawn.sum() == 40
    assert draw_cells(patients, positive, None).all()


def test_both_classes_stay() -> None:
    """A rare class keeps a quarter of the draw, or all of its cells when there are fewer."""
    patients, positive = _cohort({"rare": (3, 997), "some": (60, 940), "even": (500, 500)})
    drawn = draw_cells(patients, positive, 100)
    kept = (
        pd.DataFrame({"patient": patients, "positive": positive})[drawn]
        .groupby("patient")
        .positive.agg(["sum", "size"])
    )
    assert kept["size"].to_dict() == {"rare": 100, "some": 100, "even": 100}
    assert kept["sum"].to_dict() == {"rare": 3, "some": 25, "even": 50}


def test_a_patients_draw_does_not_depend_on_the_others() -> None:
    """Leaving a patient out of the study changes nobody else's cells."""
    patients, positive = _cohort({"P1": (200, 200), "P2": (200, 200)})
    both = draw_cells(patients, positive, 50)
    alone = draw_cells(patients[400:].reset_index(drop=True), positive[400:], 50)
    assert np.array_equal(both[400:], alone)
