"""A setting that fits no cell is refused at planning; met only later, no method is proposed to be left out for it."""

from collections.abc import Callable
from typing import Any

import pytest

from stagewright.stages.handlers.of_unit import KINDS
from stagewright.stages.unfit_setting import UnfitSetting
from stagewright.state.refusals import Refusal

Call = Callable[..., dict[str, Any]]


def test_an_unfit_setting_is_a_value_error_of_no_unit() -> None:
    """It is classed as a fault of the spec, which by itself would propose to leave out what met it."""
    assert issubclass(UnfitSetting, ValueError)
    assert "spec" in KINDS


def test_a_level_that_no_cell_has_is_refused_at_planning(call: Call, declare: Callable[..., dict[str, Any]]) -> None:
    """The levels that there are stand in the message."""
    random = {"method": "random", "source": "patient_again", "source_level": "nobody"}
    spec = declare("plan0", "plan1c", classifier={"downsampling": [random]})
    spec["data"]["columns"] = {"patient_again": spec["data"]["patient"]}
    with pytest.raises(Refusal, match=r"classifier.downsampling\[0\]: no cell has 'nobody' in patient"):
        call("plan_run", spec=spec)
