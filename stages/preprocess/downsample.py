"""Draw fewer of the abundant cells within each cell type; patients with few malignant cells have a policy of their own.

The facts of the policy are those of the reference study (MinhangXu/sc_classification, Plan 1C): abundant cells stay
whole up to a ratio to the other cells, above it each cell type is drawn by the same share but for a least number; with
2 to 9 malignant cells that number is smaller, and what still exceeds a severe ratio is drawn again to a lower one.
Unlike there, a second pass keeps a part of what the first kept, and malignant cells are never drawn away.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stagewright.stages.preprocess.selection import LogValue
from stagewright.stages.unfit_setting import UnfitSetting
from stagewright.state.spec.downsampling import NoDownsampling, RandomDownsampling

__all__ = ["AbundantCells", "Downsampled", "abundant_cells", "downsample"]

ONE_STRATUM = "all"


@dataclass(frozen=True, slots=True)
class AbundantCells:
    """Which cells may be drawn away, and within which strata.

    Attributes
    ----------
    mask
        True for an abundant cell, shape (n_cells,). Never a positive cell.
    strata
        Cell type of each cell as text, shape (n_cells,).
    log
        How the two came about, for the log of whoever downsamples.
    """

    mask: npt.NDArray[np.bool_]
    strata: npt.NDArray[np.str_]
    log: dict[str, LogValue]


@dataclass(frozen=True, slots=True)
class Downsampled:
    """What is left of the cells.

    Attributes
    ----------
    kept
        Rows of the cells that stay, ascending, int64.
    log
        Thresholds used, counts before and after, over all cells and by stratum. JSON values only.
    """

    kept: npt.NDArray[np.int64]
    log: dict[str, LogValue]


def abundant_cells(
    settings: RandomDownsampling,
    columns: Mapping[str, npt.NDArray[np.generic]],
    positive: npt.NDArray[np.bool_],
) -> AbundantCells:
    """Tell the abundant cells and their strata by the columns that the study declares.

    Call it on all cells of a study, then `downsample` on the cells of one patient or fold.

    Parameters
    ----------
    columns
        The columns of `data.columns` by role, each of shape (n_cells,).
    positive
        True for cells of the positive class, shape (n_cells,).

    Raises
    ------
    ValueError
        The source column has no cell of the level that the settings name.
    """
    log: dict[str, LogValue] = {}
    source = columns.get(settings.source)
    if source is None:
        mask = ~positive
        log["abundant"] = f"cells of the label's negative class: data.columns declares no {settings.source!r}"
    else:
        from_source = source.astype(str) == settings.source_level
        if not from_source.any():
            levels = ", ".join(sorted(map(str, np.unique(source.astype(str))))[:10])
            raise UnfitSetting(
                f"downsampling: no cell has {settings.source_level!r} in the column of data.columns.{settings.source}; "
                f"it has {levels}. Give source_level, or another role as source."
            )
        mask = from_source & ~positive
        log["abundant"] = f"cells of the negative class with {settings.source} {settings.source_level!r}"
        log["n_positive_with_that_source"] = int(np.count_nonzero(from_source & positive))
    types = columns.get(settings.strata)
    if types is None:
        strata = np.full(positive.shape, ONE_STRATUM)
        log["strata"] = f"one: data.columns declares no {settings.strata!r}"
    else:
        strata = types.astype(str)
        log["strata"] = f"levels of data.columns.{settings.strata}"
    return AbundantCells(mask, strata, log)


def downsample(
    settings: NoDownsampling | RandomDownsampling,
    abundant: npt.NDArray[np.bool_],
    strata: npt.NDArray[np.str_],
    positive: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Downsampled:
    """Draw the abundant cells of one patient, or of one training set.

    Parameters
    ----------
    abundant, strata
        Of the cells at hand, as `abundant_cells` tells them, shape (n_cells,).
    positive
        True for malignant cells, shape (n_cells,).
    rng
        Make it from `settings.seed` and what names the cells (a patient, a fold), never share it between draws whose
        order is not fixed.

    Raises
    ------
    ValueError
        The arrays differ in length, or a positive cell is among the abundant ones.
    """
    n_cells = len(positive)
    if not len(abundant) == len(strata) == n_cells:
        raise ValueError(f"{len(abundant)} abundance flags and {len(strata)} strata do not fit {n_cells} cells.")
    if np.any(abundant & positive):
        raise ValueError("a positive cell is among the abundant ones; positive cells are never drawn away")
    log: dict[str, LogValue] = {"method": settings.method, "n_cells_before": n_cells, "n_cells_after": n_cells}
    if isinstance(settings, NoDownsampling):
        return Downsampled(np.arange(n_cells), log)

    n_abundant, n_malignant = int(abundant.sum()), int(positive.sum())
    n_others = n_cells - n_abundant
    few = 2 <= n_malignant < settings.few_malignant  # noqa: PLR2004 - one malignant cell is no class to protect
    least = settings.few_min_cells_per_type if few else settings.min_cells_per_type
    shuffled = {
        str(name): rng.permutation(np.flatnonzero(abundant & (strata == name))) for name in np.unique(strata[abundant])
    }
    sizes = {name: len(cells) for name, cells in shuffled.items()}
    keep, scenario = _numbers_to_keep(sizes, n_others, settings, settings.ratio_threshold, least)
    passes = 1
    first_ratio = _ratio(sum(keep.values()), n_others)
    if few and n_others and first_ratio > settings.few_severe_ratio:
        keep, scenario = _numbers_to_keep(sizes, n_others, settings, settings.few_ratio_threshold, least)
        passes = 2
    drawn = [shuffled[name][:number] for name, number in keep.items()]
    kept = np.sort(np.concatenate([np.flatnonzero(~abundant), *drawn])).astype(np.int64)
    by_stratum: dict[str, LogValue] = {name: {"before": size, "after": keep[name]} for name, size in sizes.items()}
    log |= {
        "n_cells_after": len(kept),
        "n_malignant": n_malignant,
        "few_malignant": few,
        "min_cells_per_type": least,
        "ratio_threshold": settings.ratio_threshold if passes == 1 else settings.few_ratio_threshold,
        "passes": passes,
        "scenario": scenario,
        "n_others": n_others,
        "n_abundant_before": n_abundant,
        "n_abundant_after": len(kept) - n_others,
        "ratio_before": _finite(_ratio(n_abundant, n_others)),
        "ratio_after_first_pass": _finite(first_ratio),
        "ratio_after": _finite(_ratio(len(kept) - n_others, n_others)),
        "by_stratum": by_stratum,
    }
    return Downsampled(kept, log)


def _numbers_to_keep(
    sizes: Mapping[str, int], n_others: int, settings: RandomDownsampling, ratio: float, least: int
) -> tuple[dict[str, int], str]:
    """Return how many cells of each stratum stay, and which case that is."""
    total = sum(sizes.values())
    if total == 0:
        return {}, "no_abundant_cells"
    if n_others == 0:
        share = settings.fraction_without_others
        return {name: min(size, max(least, math.floor(size * share))) for name, size in sizes.items()}, "no_other_cells"
    if total <= n_others * ratio:
        return dict(sizes), "ratio_within_threshold"
    target = math.floor(n_others * ratio)
    # In whole numbers: a share in floating point may lose a cell by rounding.
    return {
        name: min(size, max(least, size * target // total)) for name, size in sizes.items()
    }, "ratio_above_threshold"


def _ratio(abundant: int, others: int) -> float:
    return abundant / others if others else math.inf


def _finite(ratio: float) -> float | None:
    return ratio if math.isfinite(ratio) else None
