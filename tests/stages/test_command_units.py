"""A command is run once for one decision, however often its step has to be taken up again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stagewright.stages.protocol import UnitFailed
from stagewright.state.artifacts import Outcome

Study = Any  # the fixture's class, which lives in conftest.py
CODE = (
    "import pathlib; ran = pathlib.Path(r'{run_dir}/ran.txt'); ran.open('a').write('{step} ')\n"
    "pathlib.Path('metrics.json').write_text('{\"score\": 0.5}'); pathlib.Path('more').mkdir()\n"
    "pathlib.Path('more/table.csv').write_text('a,b')\n"
)


def test_a_result_is_used_again_for_the_same_decision_only(
    study: Study, digests: Callable[[Outcome], dict[str, str]]
) -> None:
    """After a crash between the command's end and the commit it is there; after a decision it is made anew."""
    first = study.work(study.command("A/mine", CODE, decisions=3))
    second = study.work(study.command("A/mine", CODE, decisions=3))
    assert (study.run / "ran.txt").read_text() == "A/mine "
    assert digests(first) == digests(second)
    assert set(digests(first)) == {"A/analysis/mine/metrics.json", "A/analysis/mine/more/table.csv"}
    assert first.metrics == second.metrics == {"mine.score": 0.5}
    assert (second.units[0].how, second.units[0].why) == ("reused", "same inputs as attempt 1 of A/mine")
    third = study.work(study.command("A/mine", CODE, decisions=4))
    assert (third.units[0].how, third.units[0].why) == ("ran", "decisions 3 -> 4")
    assert (study.run / "ran.txt").read_text() == "A/mine A/mine "


def test_another_step_argv_study_or_script_is_another_command(study: Study, tmp_path: Path) -> None:
    """The files that an argv names count with their content."""
    script = tmp_path / "script.py"
    script.write_text(CODE.replace("{run_dir}", str(study.run)).replace("{step}", "x"))

    def done(step: str = "A/mine", *arguments: str, **changes: object) -> str:
        argv = ("{python}", "-I", "-S", str(script), *arguments)
        outcome: Outcome = study.work(study.request(step, **({"command": {"argv": argv}} | changes)))
        return outcome.units[0].how

    assert done() == "ran"
    assert done() == "reused"
    assert done(workers=7, adjust={"workers": 3}) == "reused"
    assert done("A/mine", "--fast") == "ran"
    assert done("A/mine", "/" + "x" * 5000, "request.json") == "ran"
    assert done("A/mine", "/" + "x" * 5000, "request.json") == "reused"
    assert done("B/mine") == "ran"
    assert done(adjust={"seeds": [7]}) == "ran"
    script.write_text(script.read_text() + "# another comment\n")
    assert done() == "ran"


def test_a_command_that_failed_is_not_kept(study: Study) -> None:
    """Its step cannot do without it either, whatever the spec allows."""
    request = study.command("A/mine", "raise SystemExit('no')", failed_units=0.9)
    for attempt in (request, request.model_copy(update={"attempt": 2})):
        with pytest.raises(UnitFailed, match="mine") as caught:
            study.work(attempt)
        assert "ended with status 1" in str(caught.value.__cause__)
    assert not [*(study.run / "unit_cache").glob("command/*")]
