"""The goal spec as a whole (the contract's section 8)."""

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, field_serializer, field_validator, model_validator

from stagewright.state.spec.classifier import Classifier
from stagewright.state.spec.data import DataScope
from stagewright.state.spec.negative_controls import NegativeControls, strata_columns
from stagewright.state.spec.normalisation import Log1p, Normalisation
from stagewright.state.spec.preprocess import Hvg, Preprocess, check_tags
from stagewright.state.spec.reduction import Reduction
from stagewright.state.spec.strict import Strict, Text
from stagewright.state.units import Bytes, Seconds

__all__ = [
    "CHECKPOINTS",
    "Budget",
    "CellsPerPatient",
    "Checkpoint",
    "Criterion",
    "GoalSpec",
    "Holdout",
    "Privacy",
    "Scale",
    "StopCriteria",
]

Checkpoint = Literal["A", "B", "C"]
CHECKPOINTS: tuple[Checkpoint, ...] = ("A", "B", "C")

Privacy = Literal["none", "pseudonymise"]
"""Whether patients are named by their ids, or by a keyed hash of them."""

CellsPerPatient = Annotated[int, Field(ge=10, le=10**9)]
"""At most this many cells of each patient; fewer than ten say nothing of a patient with two classes."""

StageName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Criterion(Strict):
    """A bound on one metric, e.g. ``{metric: plan1b.best.auc, at_least: 0.8}``. Exactly one bound is given."""

    metric: Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$")]
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if sum(bound is not None for bound in (self.at_least, self.above, self.at_most, self.below)) != 1:
            raise ValueError("give exactly one of at_least, above, at_most, below")
        return self

    def holds(self, value: float) -> bool:
        """Return whether `value` is within the bound."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """Return the criterion as a person writes it, e.g. ``plan1b.best.auc >= 0.8``."""
        bounds = ((">=", self.at_least), (">", self.above), ("<=", self.at_most), ("<", self.below))
        sign, bound = next((sign, bound) for sign, bound in bounds if bound is not None)
        return f"{self.metric} {sign} {bound:g}"


class StopCriteria(Strict):
    """When the study has succeeded (every success criterion holds) or failed (any failure criterion holds)."""

    success: tuple[Criterion, ...] = ()
    failure: tuple[Criterion, ...] = ()


class Budget(Strict):
    """What the whole run may use, and how much of a step may fail.

    Attributes
    ----------
    retries
        How often a step is tried again after a failure that may pass.
    workers
        The number of units run side by side.
    failed_units
        The share of a step's units that may fail for good with the step still executed, rounded up to whole units.
        At 0 the first unit that fails blocks the step.
    """

    runtime: Seconds = 6 * 3600.0
    memory: Bytes = 16 * 2**30
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    workers: Annotated[int, Field(ge=1, le=1024)] | None = None
    failed_units: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Scale(Strict):
    """How much of the study one checkpoint runs; None is all of it.

    Attributes
    ----------
    cells_per_patient
        At most this many cells of each patient, drawn so that both classes stay.
    n_seeds
        The first seeds of the list.
    n_k
        This many K of each method's list: the smallest ones.
    n_preprocess
        The first entries of the preprocess list.
    repeats
        At most this many repeats of cross-validation.
    """

    cells_per_patient: CellsPerPatient | None = None
    n_seeds: Annotated[int, Field(ge=1, le=100)] | None = None
    n_k: Annotated[int, Field(ge=1, le=50)] | None = None
    n_preprocess: Annotated[int, Field(ge=1, le=50)] | None = None
    repeats: Annotated[int, Field(ge=1, le=1000)] | None = None


class Holdout(Strict):
    """The share of patients put aside before anything is fitted, and how often their score may be asked for."""

    patients: Annotated[float, Field(gt=0, lt=1)]
    queries: Annotated[int, Field(ge=1, le=100)] = 3


class GateThreshold(Strict):
    """The bound that replaces a gate's default."""

    at_least: float | None = None
    at_most: float | None = None


class GoalSpec(Strict):
    """A declared study. It is sealed when the run is planned."""

    objective: Text
    data: DataScope
    stages: Annotated[tuple[StageName, ...], Field(min_length=1, max_length=50)] = ("plan0", "plan1a", "plan1b")
    preprocess: Annotated[tuple[Preprocess, ...], Field(min_length=1, max_length=50)] = (Hvg(method="hvg"),)
    reference: Preprocess | None = None
    normalisation: Normalisation = Log1p(method="log1p")
    reduction: Reduction = Reduction()
    classifier: Classifier = Classifier()
    negative_controls: NegativeControls = NegativeControls()
    stop: StopCriteria = StopCriteria()
    budget: Budget = Budget()
    checkpoints: dict[Checkpoint, Scale] = Field(default_factory=dict)
    gates: dict[str, GateThreshold] = Field(default_factory=dict)
    holdout: Holdout | None = None
    approvals: tuple[Checkpoint, ...] = ()
    privacy: Privacy = "none"

    @field_validator("stages")
    @classmethod
    def _stages_once(cls, stages: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(stages)) != len(stages):
            raise ValueError("each stage may be named once")
        return stages

    @field_validator("preprocess")
    @classmethod
    def _tags_once(cls, preprocess: tuple[Preprocess, ...]) -> tuple[Preprocess, ...]:
        check_tags(preprocess)
        return preprocess

    @field_serializer("checkpoints")
    def _as_said(self, checkpoints: dict[Checkpoint, Scale]) -> dict[str, dict[str, JsonValue]]:
        """Keep what is not said of a checkpoint, which is the default, apart from null, which is all of it."""
        return {letter: scale.model_dump(mode="json", exclude_unset=True) for letter, scale in checkpoints.items()}

    @model_validator(mode="after")
    def _columns_are_named(self) -> Self:
        entries = [*self.preprocess, *([] if self.reference is None else [self.reference])]
        for entry in entries:
            for key in ("batch", "within"):
                self._check_column(getattr(entry, key, None), f"{key} of {entry.method}", key)
        for method in self.reduction.methods:
            batch = self.reduction.settings_of(method).get("batch") if method in ("harmony", "scvi") else None
            self._check_column(None if batch is None else str(batch), f"reduction.{method}.batch", "batch")
        return self

    def _check_column(self, column: str | None, place: str, role: str) -> None:
        """Raise `ValueError` unless a column is loaded and is not the label, which would reach the genes or folds."""
        if column is None:
            return
        if column == self.data.label.column:
            raise ValueError(f"{place}: {column!r} is the label, and what is done by it would leak it; name another")
        if column not in self.data.obs_columns:
            raise ValueError(
                f"{place}: the column {column!r} is not among the columns that the study loads; "
                f"name it under data.columns, e.g. columns: {{{role}: {column}}}",
            )

    @model_validator(mode="after")
    def _group_column_is_named(self) -> Self:
        group = self.classifier.cv.group
        self._check_column(None if group == "none" else group, "classifier.cv.group", "group")
        return self

    @model_validator(mode="after")
    def _strata_are_named(self) -> Self:
        if "plan2" in self.stages or self.negative_controls.strata:
            strata_columns(self.negative_controls, self.data)
        return self

    @property
    def reference_preprocess(self) -> Preprocess:
        """Plan 0's single preprocess: `reference`, or else the first of `preprocess`."""
        return self.preprocess[0] if self.reference is None else self.reference
