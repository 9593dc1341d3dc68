"""Who is put aside: the same patients whenever the same are planned, of every size, with both classes."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from stagewright.stages.cohort.records import PatientCount
from stagewright.stages.cohort.unreadable import CohortMismatch
from stagewright.stages.holdout.draw import draw_holdout, patient_digests
from stagewright.state.canonical import digest_json
from stagewright.state.holdout import HoldoutWish


def patient(name: str, positive: int, negative: int) -> PatientCount:
    return {"patient": name, "positive": positive, "negative": negative, "timepoints": {}}


COHORT = [patient(f"p{number:02}", 10 * (number + 1), 20) for number in range(12)] + [
    patient(f"single{number}", 0, 30) for number in range(4)
]
DIGESTS = {item["patient"]: digest_json(item["patient"]) for item in COHORT}


def test_the_draw_is_stratified_by_classes_and_size() -> None:
    """A quarter of those with both classes and of those with one; of the former one from each third by size."""
    drawn = draw_holdout(COHORT, DIGESTS, HoldoutWish(fraction=0.25))
    assert (drawn.n_both, len(drawn.patients), drawn.n_both_in_all) == (3, 4, 12)
    both = [int(name[1:]) // 4 for name in drawn.patients if name.startswith("p")]
    assert both == [0, 1, 2]
    chosen = [item for item in COHORT if item["patient"] in drawn.patients]
    assert drawn.n_cells == sum(item["positive"] + item["negative"] for item in chosen)


def test_the_draw_does_not_depend_on_the_order_or_on_names() -> None:
    """Patients are known by their cells: other names for them change nothing."""
    wish = HoldoutWish(fraction=0.25)
    first = draw_holdout(COHORT, DIGESTS, wish)
    assert draw_holdout(COHORT[::-1], DIGESTS, wish) == first
    renamed = [item | {"patient": f"x{item['patient']}"} for item in COHORT]
    again = draw_holdout(renamed, {f"x{name}": digest for name, digest in DIGESTS.items()}, wish)  # type: ignore[arg-type]
    assert sorted(again.digests) == sorted(first.digests)


@pytest.mark.parametrize("fraction", [0.2, 0.3, 0.5])
def test_who_was_put_aside_before_is_put_aside_again(fraction: float) -> None:
    """Another fraction or other sizes show nobody whom an earlier plan kept back, as far as the number allows."""
    first = draw_holdout(COHORT, DIGESTS, HoldoutWish(fraction=0.25))
    other = [item | {"positive": 200 - item["positive"] if item["positive"] else 0} for item in COHORT]
    again = draw_holdout(other, DIGESTS, HoldoutWish(fraction=fraction, earlier=first.digests))  # type: ignore[arg-type]
    both = {name for name in first.patients if name.startswith("p")}
    kept = both & set(again.patients)
    assert len(kept) == min(len(both), again.n_both)


def test_a_name_that_no_filter_can_hold_is_refused() -> None:
    with pytest.raises(CohortMismatch, match="white space"):
        draw_holdout([patient("p1 ", 5, 5)], {"p1 ": digest_json("x")}, HoldoutWish(fraction=0.5))


def test_a_patient_is_known_by_its_cells(tmp_path: Path) -> None:
    """Whatever its name, the order of the cells and the rest of the file; cells without a patient are nobody's."""
    cells = [f"cell{number}" for number in range(6)]
    names = pd.Categorical(["a", "b", "a", None, "b", "a"])

    def written(name: str, table: pd.DataFrame) -> dict[str, str]:
        path = tmp_path / name
        ad.AnnData(X=np.zeros((len(table), 1), dtype=np.float32), obs=table).write_h5ad(path)
        return patient_digests(path, "patient")

    table = pd.DataFrame({"patient": names}, index=cells)
    first = written("one.h5ad", table)
    assert set(first) == {"a", "b"}
    shuffled = table.iloc[::-1].assign(more=1)
    shuffled["patient"] = shuffled["patient"].cat.rename_categories({"a": "y", "b": "x"})
    second = written("two.h5ad", shuffled)
    assert (second["y"], second["x"]) == (first["a"], first["b"])
    assert written("three.h5ad", table.drop(index="cell5"))["a"] != first["a"]
