"""The executors give the same artifacts, whatever they are and however many workers they have."""

from collections.abc import Callable
from typing import Any

import pytest

from stagewright.stages.refit import refit_folds
from stagewright.state.artifacts import Outcome
from stagewright.state.spec.downsampling import RandomDownsampling
from stagewright.state.spec.normalisation import PearsonResiduals
from stagewright.state.spec.reduction import HeldOut

DRAWN = RandomDownsampling(method="random", ratio_threshold=1.0, few_ratio_threshold=1.0, min_cells_per_type=2)
STEPS = ("C/plan0", "C/plan1a", "C/plan1b", "C/plan1c")


def artifacts_of(study: Any, digests: Callable[[Outcome], dict[str, str]], **on: object) -> dict[str, str]:  # noqa: ANN401 - the study of conftest.py
    """Execute the steps of a study and return the sha256 of each artifact."""
    found: dict[str, str] = {}
    for step in STEPS:
        outcome = study.execute(step, **on)
        assert outcome.executor is not None
        assert outcome.executor.workers == on.get("workers", 2)
        assert outcome.executor.kind == ("dask" if "executor" in on else "local")
        assert not (study.attempt(step) / "scratch").exists()
        found |= digests(outcome)
    return found


@pytest.mark.slow
def test_every_executor_gives_the_same_bytes(
    new_study: Callable[[str], Any], digests: Callable[[Outcome], dict[str, str]], cluster: dict[str, Any]
) -> None:
    """Plan 0, 1A, 1B and 1C on one thread, on two, and on a Dask cluster of two workers write the same artifacts."""
    alone = artifacts_of(new_study("one"), digests, workers=1)
    assert len(alone) > 20
    assert artifacts_of(new_study("two"), digests, workers=2) == alone
    assert artifacts_of(new_study("dask"), digests, executor=cluster) == alone


@pytest.fixture
def most_folds(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count the folds that are held, and return a function that says how many there were at most."""
    held: list[object] = []
    counts = [0]

    class Counted(refit_folds._Fold):
        def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as they come
            held.append(self)
            counts.append(len(held))
            super().__init__(*arguments)

        def forget(self) -> None:
            super().forget()
            held.remove(self)

    monkeypatch.setattr(refit_folds, "_Fold", Counted)
    return lambda: max(counts)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "changes"),
    [
        (STEPS[:1], {"replicates": "bootstrap_cells", "held_out": HeldOut()}),
        (STEPS[:1], {"normalisation": PearsonResiduals(method="pearson_residuals")}),
        (STEPS[:3], {"scope": "pipeline"}),
        ((STEPS[0], STEPS[3]), {"downsampling": (DRAWN,)}),
    ],
    ids=["samples", "residuals", "refits", "draws"],
)
def test_special_studies_are_the_same_too(
    new_study: Callable[[str], Any],
    digests: Callable[[Outcome], dict[str, str]],
    cluster: dict[str, Any],
    most_folds: Callable[[], int],
    steps: tuple[str, ...],
    changes: dict[str, object],
) -> None:
    """Bootstrap samples and held-out cells; a view of residuals; pipelines refitted in every fold; drawn cells.

    This process never holds more folds than it may have units, one here, and not one for each thread of the cluster.
    """
    small = {"methods": ("pca", "fa"), "ks": {"pca": (3,), "fa": (3,)}}
    changed = new_study("any").request("C/plan0").study.model_copy(update=small | changes)
    local, remote = new_study("local"), new_study("dask")
    for step in steps:
        alone = digests(local.execute(step, study=changed))
        assert digests(remote.execute(step, study=changed, executor=cluster)) == alone
    assert most_folds() == ("scope" in changes)
