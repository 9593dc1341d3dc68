"""Changes that `decide(adjust)` may make to a sealed spec, and whether each loosens or tightens the study.

Adjustable: the K list, methods, preprocess list, seeds, penalties, alphas, workers, and the budget within the
operator's caps. Everything else is sealed: a change to it is a new run that names its parent.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, field_validator

from stagewright.state.spec.classifier import Alphas, Classifier
from stagewright.state.spec.goal import Budget, GoalSpec
from stagewright.state.spec.preprocess import Preprocess, check_tags
from stagewright.state.spec.reduction import Ks, Method, Reduction
from stagewright.state.spec.strict import Strict
from stagewright.state.units import Bytes, Seconds

__all__ = ["Adjustments", "FieldChange", "Label", "compare"]

Label = Literal["loosens", "tightens", "neutral"]
Part = TypeVar("Part", bound=Strict)


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class Adjustments(Strict):
    """New values of adjustable fields; None leaves a field as it is."""

    k: Annotated[Ks | dict[Method, Ks], BeforeValidator(_listed)] | None = None
    methods: Annotated[tuple[Method, ...], Field(min_length=1)] | None = None
    preprocess: Annotated[tuple[Preprocess, ...], Field(min_length=1, max_length=50)] | None = None
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1)] | None = None
    penalties: Annotated[tuple[Literal["l1", "l2", "elasticnet"], ...], Field(min_length=1)] | None = None
    alphas: Alphas | None = None
    workers: Annotated[int, Field(ge=1)] | None = None
    runtime: Seconds | None = None
    memory: Bytes | None = None
    retries: Annotated[int, Field(ge=0, le=10)] | None = None

    @field_validator("preprocess")
    @classmethod
    def _tags_once(cls, preprocess: tuple[Preprocess, ...] | None) -> tuple[Preprocess, ...] | None:
        check_tags(preprocess or ())
        return preprocess

    def merged(self, newer: "Adjustments") -> "Adjustments":
        """Return these adjustments with those of `newer` on top."""
        changed = {name: getattr(newer, name) for name in type(newer).model_fields if getattr(newer, name) is not None}
        return self.model_copy(update=changed)

    def applied_to(self, spec: GoalSpec) -> GoalSpec:
        """Return `spec` with the adjusted fields replaced.

        Raises
        ------
        pydantic.ValidationError
            When the values do not fit together or the rest of the spec, e.g. a method without a K list.
        """
        adjusted = spec.model_copy(
            update={
                "preprocess": spec.preprocess if self.preprocess is None else self.preprocess,
                "reduction": _replaced(spec.reduction, Reduction, k=self.k, methods=self.methods, seeds=self.seeds),
                "classifier": _replaced(spec.classifier, Classifier, penalties=self.penalties, alphas=self.alphas),
                "budget": Budget.model_construct(
                    runtime=spec.budget.runtime if self.runtime is None else self.runtime,
                    memory=spec.budget.memory if self.memory is None else self.memory,
                    retries=spec.budget.retries if self.retries is None else self.retries,
                    workers=spec.budget.workers if self.workers is None else self.workers,
                    failed_units=spec.budget.failed_units,
                ),
            },
        )
        return GoalSpec.model_validate({name: getattr(adjusted, name) for name in GoalSpec.model_fields})


def _replaced(part: Part, kind: type[Part], **values: object) -> Part:
    """Return `part` with the values that are not None, checked again as a whole."""
    present = {name: getattr(part, name) for name in kind.model_fields}
    return kind.model_validate(present | {name: value for name, value in values.items() if value is not None})


class FieldChange(BaseModel):
    """One adjusted field: its value before and after, and what the change does to the study."""

    model_config = ConfigDict(frozen=True)

    field: str
    before: JsonValue = None  # an entry of a log leaves out what is not set
    after: JsonValue = None
    label: Label


def compare(before: GoalSpec, after: GoalSpec) -> tuple[FieldChange, ...]:
    """Return the adjustable fields in which two specs differ.

    Taking K, methods, preprocesses or seeds away asks less of the study and more budget lets it run longer: these
    loosen. Adding to a grid, or a smaller budget, tightens. What is neither, such as other penalty strengths, is
    neutral.
    """
    grids: dict[str, tuple[list[JsonValue], list[JsonValue]]] = {
        "k": (_k_pairs(before), _k_pairs(after)),
        "methods": (list(before.reduction.methods), list(after.reduction.methods)),
        "preprocess": (_tags(before), _tags(after)),
        "seeds": (list(before.reduction.seeds), list(after.reduction.seeds)),
        "penalties": (list(before.classifier.penalties), list(after.classifier.penalties)),
    }
    changes = [
        FieldChange(field=field, before=old, after=new, label=_grid_label(old, new))
        for field, (old, new) in grids.items()
        if old != new
    ]
    alphas = (list(before.classifier.alpha_values()), list(after.classifier.alpha_values()))
    if alphas[0] != alphas[1]:
        changes.append(FieldChange(field="alphas", before=[*alphas[0]], after=[*alphas[1]], label="neutral"))
    if before.budget.workers != after.budget.workers:
        changes.append(
            FieldChange(field="workers", before=before.budget.workers, after=after.budget.workers, label="neutral"),
        )
    for field in ("runtime", "memory", "retries"):
        old_limit, new_limit = getattr(before.budget, field), getattr(after.budget, field)
        if old_limit != new_limit:
            label: Label = "loosens" if new_limit > old_limit else "tightens"
            changes.append(FieldChange(field=field, before=old_limit, after=new_limit, label=label))
    return tuple(changes)


def _k_pairs(spec: GoalSpec) -> list[JsonValue]:
    return [f"{method}:{k}" for method in spec.reduction.methods for k in spec.reduction.ks(method)]


def _tags(spec: GoalSpec) -> list[JsonValue]:
    return [entry.tag for entry in spec.preprocess]


def _grid_label(before: list[JsonValue], after: list[JsonValue]) -> Label:
    if any(item not in after for item in before):
        return "loosens"
    return "tightens" if any(item not in before for item in after) else "neutral"
