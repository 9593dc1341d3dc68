"""Bootstrap samples: what is drawn, and on what it depends."""

import numpy as np
import pandas as pd
import pytest

from stagewright.stages.stability.bootstrap import bootstrap_rows

PATIENTS = pd.Series(["b"] * 30 + ["a"] * 50 + ["c"] * 20)


def test_cells_are_drawn_within_their_patient() -> None:
    """As many of each patient as it has, about 63 % of them different, the rows in order."""
    rows = bootstrap_rows(PATIENTS, "bootstrap_cells", 1)
    assert PATIENTS[rows].value_counts().to_dict() == {"a": 50, "b": 30, "c": 20}
    assert (np.diff(rows) >= 0).all()
    shares = [np.unique(bootstrap_rows(PATIENTS, "bootstrap_cells", number)).size / 100 for number in range(50)]
    assert np.mean(shares) == pytest.approx(1 - np.exp(-1), abs=0.02)


def test_a_patients_draw_does_not_depend_on_the_others() -> None:
    """So that a patient more in the study leaves the sample of every other as it was."""
    alone = bootstrap_rows(PATIENTS[:30].reset_index(drop=True), "bootstrap_cells", 2)
    together = bootstrap_rows(PATIENTS, "bootstrap_cells", 2)
    np.testing.assert_array_equal(together[together < 30], alone)


def test_patients_are_drawn_whole() -> None:
    """Each drawn patient brings all its cells, as often as it was drawn; as many draws as patients."""
    rows = bootstrap_rows(PATIENTS, "bootstrap_patients", 3)
    times = np.bincount(rows, minlength=100)
    by_patient = pd.Series(times).groupby(PATIENTS.to_numpy()).unique()
    assert all(len(found) == 1 for found in by_patient)
    assert sum(int(found[0]) for found in by_patient) == 3


@pytest.mark.parametrize("kind", ["bootstrap_cells", "bootstrap_patients"])
def test_the_number_of_a_sample_gives_its_rows(kind: str) -> None:
    """The same number the same rows, and several numbers several samples."""
    samples = [bootstrap_rows(PATIENTS, kind, number).tobytes() for number in (1, 2, 3, 4, 5, 6, 1)]  # type: ignore[arg-type]
    assert samples[0] == samples[-1]
    assert len(set(samples)) > 3


def test_one_patient_cannot_be_resampled() -> None:
    """Every sample would be the same, and a stability of 1 by construction."""
    with pytest.raises(ValueError, match="use replicates: bootstrap_cells"):
        bootstrap_rows(PATIENTS[:30], "bootstrap_patients", 1)
