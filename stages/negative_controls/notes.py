"""What a reader of Plan 2 has to know: its result in words, and what its permutations can and cannot show."""

from collections.abc import Sequence

from stagewright.stages.negative_controls.mirrors import MIRRORS
from stagewright.stages.negative_controls.permute_labels import Stratum
from stagewright.stages.negative_controls.summary import Best
from stagewright.stages.plan1_tables import SummaryRow
from stagewright.state.spec.effective import EffectiveStudy

__all__ = ["limit_notes", "result_notes"]

SHOWN = 6


def result_notes(study: EffectiveStudy, table: Sequence[SummaryRow], best: Best, judged: str) -> list[str]:
    """Return the result in words.

    Parameters
    ----------
    table
        Rows of the summary.
    best, judged
        The best configurations of the stage that is judged, and its name.
    """
    n = study.permutations
    result = (
        f"best of {judged} under the observed labels {best.observed:.4f}, under {n} permutations at most "
        f"{max(best.permuted):.4f}; p = {best.p:.3g}, and no smaller p than {1 / (1 + n):.3g} is possible with {n}"
    )
    notes = [result]
    above = [f"{row['preprocess']}/{row['method']}/{row['penalty']}" for row in table if row["above_chance"]]
    if above:
        notes.append(f"permuted labels score above chance, so the observed scores are flattered too: {_few(above)}")
    if any(MIRRORS[stage].in_sample for stage in study.mirrored):
        notes.append("plan1a under permuted labels says how far a path fits noise; no score of it is expected at 0.5")
    return notes


def limit_notes(study: EffectiveStudy, strata: Sequence[Stratum]) -> list[str]:
    """Return what these permutations can and cannot show."""
    within = (
        f"labels are permuted within {' x '.join(study.permutation_strata)}: what varies with the label inside a "
        "stratum is permuted away with it, so a confounder within a patient (technology, cell cycle) may still carry "
        "the observed scores"
    )
    constant = [stratum.name for stratum in strata if not stratum.permutable]
    if not constant:
        return [within]
    untested = (
        f"{len(constant)} of {len(strata)} strata have one class and stay as they are: what differs between strata is "
        f"not tested there ({_few(constant)})"
    )
    return [within, untested]


def _few(names: Sequence[str]) -> str:
    beyond = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + beyond
