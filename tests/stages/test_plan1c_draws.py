"""The draws of training cells as an argument of calls to other processes."""

import pickle
from pathlib import Path

import numpy as np

from stagewright.stages.executors.local import LocalExecutor
from stagewright.stages.executors.shared import elsewhere
from stagewright.stages.executors.stored import resolved
from stagewright.stages.plan1c_draws import TrainingDraws, share_draws
from stagewright.stages.preprocess.downsample import AbundantCells
from stagewright.state.spec.downsampling import RandomDownsampling


def test_draws_are_the_same_elsewhere_and_small_to_send(tmp_path: Path) -> None:
    """No array of all cells is pickled, and a process that gets the files draws the same cells."""
    rng = np.random.default_rng(3)
    n_cells = 20_000
    positive = rng.random(n_cells) < 0.1
    abundant = AbundantCells(~positive, rng.choice(["T", "B", "myeloid"], n_cells), {"abundant": "all others"})
    settings = RandomDownsampling(method="random", ratio_threshold=2.0, few_ratio_threshold=2.0)
    draws = TrainingDraws(settings, abundant, positive)

    sent = pickle.dumps(elsewhere(share_draws(LocalExecutor(1, tmp_path / "scratch"), draws)))
    assert len(sent) < n_cells // 8
    there: TrainingDraws = resolved(pickle.loads(sent))  # noqa: S301 - our own
    rows, train = np.arange(0, n_cells, 2), np.arange(0, n_cells // 2, 3)
    drawn = draws.of("P1", rows)(train, 1, 2)
    assert 0 < drawn.size < train.size
    assert np.array_equal(there.of("P1", rows)(train, 1, 2), drawn)


def test_without_draws_nothing_is_shared(tmp_path: Path) -> None:
    """All cells are trained on."""
    assert share_draws(LocalExecutor(1, tmp_path), None) is None
