"""The best configuration and what may not be it."""

from stagewright.stages.plan1_tables import SummaryRow, best_row, supervised_notes, unsupervised


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
