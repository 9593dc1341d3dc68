"""What the null twin scores, in words."""

from collections.abc import Sequence

from stagewright.stages.plan1_tables import SummaryRow

__all__ = ["twin_note"]

NAMED = ("preprocess", "method", "mode", "downsampling", "penalty")


def twin_note(rows: Sequence[SummaryRow]) -> str:
    """Return in words what the twins of a stage score; `rows` are those of its summary."""
    known = [row for row in rows if int(row["n_patients"])]
    if not known:
        return "null twin: no stratum of a patient has cells of both classes, so that no label could be permuted"
    best = max(known, key=lambda row: float(row["auc_within_strata_median"]))
    name = "/".join(str(best[part]) for part in NAMED if part in best)
    return f"null twin: permuted labels score at most {best['auc_within_strata_median']:.4f} within strata ({name})"
