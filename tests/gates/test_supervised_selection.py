"""Which preprocesses the gate warns of, told from the request alone."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.supervised_selection import supervised_selection
from stagewright.state.spec.preprocess import Preprocess

StepOf = Callable[[str], GateContext]

READ: TypeAdapter[Preprocess] = TypeAdapter(Preprocess)


def _findings(step: GateContext, scope: str, *entries: dict[str, object]) -> list[Finding]:
    preprocess = tuple(READ.validate_python(entry) for entry in entries)
    study = step.request.study.model_copy(update={"preprocess": preprocess, "scope": scope})
    return list(supervised_selection(replace(step, request=step.request.model_copy(update={"study": study}))))


@pytest.mark.parametrize("stage", ["plan1a", "plan1b"])
@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"method": "all_filtered", "enrichment_ratio": 20.0}, "enrichment_ratio 20 chose genes by label"),
        ({"method": "hybrid", "enrichment_ratio": 7.5}, "enrichment_ratio 7.5 chose genes by label"),
        ({"method": "deg_weak_screen"}, "p 0.1 and lfc 0.05 between the classes chose genes by label"),
        ({"method": "two_stage"}, "two_stage chose genes by label"),
    ],
)
def test_labels_in_the_selection_warn_while_only_the_classifier_is_refitted(
    stage: str, entry: dict[str, object], says: str, step_of: StepOf
) -> None:
    """The warning says what looked at the labels and cites why it matters; refitting the whole pipeline passes."""
    step = step_of(stage)
    (found,) = _findings(step, "classifier", entry)
    assert (found.severity, found.measured) == ("warn", says)
    assert found.threshold == "no label in gene selection, or CV scope pipeline"
    assert "Ambroise & McLachlan 2002, PNAS 99:6562" in found.reason
    assert "To pass:" in found.reason
    (found,) = _findings(step, "pipeline", entry)
    assert (found.severity, found.measured) == ("pass", f"{says}, in each training fold")


def test_each_preprocess_without_labels_passes(step_of: StepOf) -> None:
    """One finding for each preprocess in scope, of the one that warns as of the others."""
    found = _findings(
        step_of("plan1a"),
        "classifier",
        {"method": "hvg"},
        {"method": "all_filtered"},
        {"method": "all_filtered", "enrichment_ratio": 20.0},
        {"method": "gene_list", "path": "sets.gmt"},
    )
    assert [finding.severity for finding in found] == ["pass", "pass", "warn", "pass"]
    assert [finding.subject for finding in found][:3] == ["hvg_3000", "all_filtered_0p01", "all_filtered_0p01_er20"]
