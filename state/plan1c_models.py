"""Which models Plan 1C compares on each embedding, from the study alone: the stage scores them, gates expect them."""

from dataclasses import dataclass

from stagewright.state.spec.classifier import Classifier
from stagewright.state.spec.effective import EffectiveStudy

__all__ = ["Model", "groups_of", "models_of", "penalties_of", "planned_models"]

FIXED = {"l1": 1.0, "l2": 0.0}


@dataclass(frozen=True, slots=True)
class Model:
    """One way to train and penalise.

    Attributes
    ----------
    mode
        ``pooled``, ``grouped`` or ``per_patient``.
    downsampling
        Tag of how training cells are drawn; ``none`` trains on all.
    penalty
        ``l1``, ``l2``, ``elasticnet``, or e.g. ``elasticnet_0p25`` where there are several elastic nets.
    l1_ratio
        Share of the L1 part.
    """

    mode: str
    downsampling: str
    penalty: str
    l1_ratio: float

    @property
    def name(self) -> str:
        """The name in metrics, e.g. ``pooled.none.l1``."""
        return f"{self.mode}.{self.downsampling}.{self.penalty}"


def penalties_of(penalties: tuple[str, ...], l1_ratios: tuple[float, ...]) -> dict[str, float]:
    """Return the share of the L1 part of each penalty of a study, by the name that tables give it.

    >>> penalties_of(("l1", "elasticnet"), (0.5,))
    {'l1': 1.0, 'elasticnet': 0.5}
    >>> penalties_of(("elasticnet",), (0.25, 0.75))
    {'elasticnet_0p25': 0.25, 'elasticnet_0p75': 0.75}
    """
    named: dict[str, float] = {}
    for penalty in penalties:
        if penalty in FIXED:
            named[penalty] = FIXED[penalty]
        elif len(l1_ratios) == 1:
            named[penalty] = l1_ratios[0]
        else:
            named |= {f"{penalty}_{ratio!r}".replace(".", "p").replace("-", "m"): ratio for ratio in l1_ratios}
    return named


def models_of(study: EffectiveStudy) -> tuple[Model, ...]:
    """Return the models of a checkpoint's study, in the order of the tables."""
    tags = tuple(entry.tag for entry in study.downsampling)
    return _models(study.modes, tags, penalties_of(study.penalties, study.l1_ratios))


def planned_models(classifier: Classifier) -> tuple[Model, ...]:
    """Return the models that a spec asks for."""
    tags = tuple(entry.tag for entry in classifier.downsampling)
    return _models(classifier.modes, tags, penalties_of(classifier.penalties, classifier.l1_ratios))


def groups_of(study: EffectiveStudy, mode: str, patient: str) -> str | None:
    """Return the obs column whose cells stay together in one fold of a mode; None where cells are split one by one.

    The patients are the groups of ``grouped``. Within one patient the patients are no groups, other columns are.
    """
    if mode == "grouped":
        return patient
    if study.group == "none" or (mode == "per_patient" and study.group == patient):
        return None
    return study.group


def _models(modes: tuple[str, ...], tags: tuple[str, ...], penalties: dict[str, float]) -> tuple[Model, ...]:
    return tuple(
        Model(mode, tag, penalty, ratio) for mode in modes for tag in tags for penalty, ratio in penalties.items()
    )
