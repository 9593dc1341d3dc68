"""The goal spec: what a study is to find out, on which data, how, until when, and at what cost.

`GoalSpec` is the whole of it, `load_spec` reads it from YAML or JSON, `effective_study` says what of it one checkpoint
runs after the adjustments made so far.
"""

from stagewright.state.spec.adjustments import Adjustments, FieldChange, compare
from stagewright.state.spec.effective import EffectiveStudy, effective_study
from stagewright.state.spec.goal import GoalSpec
from stagewright.state.spec.loading import load_spec, parse_spec, read_spec_text
from stagewright.state.spec.preprocess import AllFiltered, Hvg, Preprocess

__all__ = [
    "Adjustments",
    "AllFiltered",
    "EffectiveStudy",
    "FieldChange",
    "GoalSpec",
    "Hvg",
    "Preprocess",
    "compare",
    "effective_study",
    "load_spec",
    "parse_spec",
    "read_spec_text",
]
