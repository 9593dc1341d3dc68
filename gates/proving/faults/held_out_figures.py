"""Faults of the figures by which Plan 0 judges held-out cells."""

import json
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.state.layout import analysis, held_out_file

__all__ = ["edited_r2", "edited_table", "lost_patient", "other_cells"]


def edited_r2(step: SpoiledStep) -> None:
    """Raise R2 in the record of one K by 0.01."""
    _, path = _judged(step)[0]
    step.json(path, lambda record: record.update(r2=record["r2"] + 0.01))


def edited_table(step: SpoiledStep) -> None:
    """Raise R2 of one K in the table by which K is chosen."""
    (method, k), _ = _judged(step)[0]

    def edit(table: pd.DataFrame) -> pd.DataFrame:
        row = (table["method"] == method) & (table["k"] == str(k))
        return table.assign(held_out_r2=table["held_out_r2"].mask(row, "0.99"))

    step.csv(analysis(step.request.checkpoint) / "plan0" / "k_selection_summary.csv", edit)


def other_cells(step: SpoiledStep) -> None:
    """Judge one K on other cells than the others: its sums are larger, and its R2 agrees with them."""
    judged = _judged(step)
    if len(judged) == 1:
        raise DoesNotApply(f"{step.asked.step} judges one K only, so it has none to differ from")

    def enlarge(record: dict[str, Any]) -> None:
        for group in record["groups"]:
            group["total"] *= 1.1
            group["squared_error"] *= 1.1

    step.json(judged[-1][1], enlarge)


def lost_patient(step: SpoiledStep) -> None:
    """Leave a group out of the sums, the most difficult one perhaps."""

    def lose(record: dict[str, Any]) -> None:
        if len(record["groups"]) == 1:
            raise DoesNotApply(f"{step.asked.step} sums its errors over one group")
        del record["groups"][0]

    step.json(_judged(step)[0][1], lose)


def _judged(step: SpoiledStep) -> list[tuple[tuple[str, int], PurePosixPath]]:
    """Return each method and K that has a held-out figure, with its file."""
    found: list[tuple[tuple[str, int], PurePosixPath]] = []
    for method, ks in step.request.study.ks.items():
        for k in ks:
            path = held_out_file(step.request.checkpoint, method, k)
            if step.has(path) and json.loads((step.run / path).read_text(encoding="utf-8"))["applicable"]:
                found.append(((method, k), path))
    if not found:
        raise DoesNotApply(f"{step.asked.step} held no cells out")
    return found
