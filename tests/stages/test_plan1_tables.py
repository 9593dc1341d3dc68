"""The best configuration and what may not be it."""

import math

from stagewright.stages.plan1_grid import CellResult, _as_json, _from_json
from stagewright.stages.plan1_tables import SummaryRow, best_row, supervised_notes, unsupervised
from stagewright.state.artifacts import Skipped


def _row(tag: str, auc: float, *, supervised: bool) -> SummaryRow:
    return {"preprocess": tag, "supervised": supervised, "method": "pca", "k": 5, "penalty": "l1", "auc": auc}


def test_genes_chosen_by_the_label_are_never_the_best() -> None:
    """Their scores saw the test folds, so a lower honest score is the best."""
    rows = [_row("all_filtered_0p01_er2", 0.99, supervised=True), _row("hvg_100", 0.8, supervised=False)]
    assert best_row(unsupervised(rows), "auc")["preprocess"] == "hvg_100"
    assert len(supervised_notes(rows)) == 1


def test_a_grid_of_nothing_else_still_has_a_best() -> None:
    """When every preprocess looked at the label there is nothing more honest to report; the note says so."""
    rows = [_row("a_er2", 0.7, supervised=True), _row("b_er3", 0.9, supervised=True)]
    assert best_row(unsupervised(rows), "auc")["preprocess"] == "b_er3"
    assert len(supervised_notes(rows)) == 2


def test_of_equal_scores_the_first_of_the_grid_is_the_best() -> None:
    """Ties go by the order of the spec, not by chance."""
    rows = [_row("first", 0.9, supervised=False), _row("second", 0.9, supervised=False)]
    assert best_row(rows, "auc")["preprocess"] == "first"


def test_a_cell_reads_back_as_it_was() -> None:
    """A score that is not a number comes back as one, whole numbers stay whole, and columns keep their order."""
    row: SummaryRow = {
        "preprocess": "hvg_150",
        "supervised": False,
        "k": 3,
        "alpha": 1.0,
        "auc_choice_left_out_median": math.nan,
    }
    result = CellResult([row], [Skipped(patient="P1", reason="single class", where="hvg_150/pca")], ["fewer folds"])
    read = _from_json(_as_json(result))
    assert [*read.summary[0]] == [*row]
    assert math.isnan(float(read.summary[0].pop("auc_choice_left_out_median")))
    assert [(value, type(value)) for value in read.summary[0].values()] == [
        ("hvg_150", str),
        (False, bool),
        (3, int),
        (1.0, float),
    ]
    assert (read.skipped, read.notes) == (result.skipped, result.notes)
