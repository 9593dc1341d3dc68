"""Which training cells Plan 1C trains on: all, or a draw of the abundant ones. Test cells are always all cells."""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stagewright.stages.classify.out_of_fold import Draw
from stagewright.stages.executors.executor import Executor, SharedValue
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.preprocess.downsample import AbundantCells, abundant_cells, downsample
from stagewright.stages.preprocess.selection import LogValue
from stagewright.state.spec.data import DataScope
from stagewright.state.spec.downsampling import Downsampling, NoDownsampling, RandomDownsampling

__all__ = ["TrainingDraws", "share_draws", "training_draws"]


@dataclass(frozen=True, slots=True)
class TrainingDraws:
    """Draws training cells for one downsampling of one cohort; each draw has a seed of its own.

    The seed is made of the spec's, the name of the part (a patient, or all of them), the repeat and the fold: a draw
    depends neither on the other draws nor on the embedding, so that configurations train on the same cells.
    """

    settings: RandomDownsampling
    abundant: AbundantCells
    positive: NDArray[np.bool_]

    def of(self, name: str, rows: NDArray[np.intp]) -> Draw:
        """Return the draw for a part with its rows among the cohort's cells; it draws among positions in them."""

        def draw(train: NDArray[np.intp], repeat: int, fold: int) -> NDArray[np.intp]:
            return self._drawn(name, rows, train, (repeat + 1, fold))

        return draw

    def refit(self, name: str, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the positions in a part on which its final model is trained."""
        return self._drawn(name, rows, np.arange(rows.size), (0, 0))

    def _drawn(
        self, name: str, rows: NDArray[np.intp], train: NDArray[np.intp], place: tuple[int, int]
    ) -> NDArray[np.intp]:
        cells = rows[train]
        rng = np.random.default_rng([self.settings.seed, zlib.crc32(name.encode()), *place])
        drawn = downsample(
            self.settings, self.abundant.mask[cells], self.abundant.strata[cells], self.positive[cells], rng
        )
        return train[drawn.kept]


def share_draws(executor: Executor, draws: TrainingDraws | None) -> SharedValue[TrainingDraws] | None:
    """Return draws as an argument of calls, which copy none of their arrays of all cells; None for none."""
    if draws is None:
        return None
    abundant = draws.abundant
    parts = {"mask": abundant.mask, "strata": abundant.strata, "positive": draws.positive}
    return executor.share(draws, _draws, settings=draws.settings, log=abundant.log, **parts)


def _draws(
    settings: RandomDownsampling,
    mask: NDArray[np.bool_],
    strata: NDArray[np.str_],
    positive: NDArray[np.bool_],
    log: dict[str, LogValue],
) -> TrainingDraws:
    return TrainingDraws(settings, AbundantCells(mask, strata, log), positive)


def training_draws(settings: Downsampling, cohort: EmbeddedCohort, scope: DataScope) -> TrainingDraws | None:
    """Return the draws of one downsampling; None where all cells are trained on.

    Raises
    ------
    ValueError
        When no cell has the source level that the settings name.
    """
    if isinstance(settings, NoDownsampling):
        return None
    columns = {role: cohort.obs[name].astype(str).to_numpy(dtype=str) for role, name in scope.columns.items()}
    return TrainingDraws(settings, abundant_cells(settings, columns, cohort.positive), cohort.positive)
