"""The page about failures says what the table says."""

from pathlib import Path

from stagewright.stages.failure_table import FAILURES

PAGE = Path(__file__).parents[2] / "docs" / "failures.md"


def test_every_kind_stands_there_with_its_reason() -> None:
    """In the order of the table, with whether it is tried again."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if "| `" in line]
    said = {kind.strip("`"): (again != "no", why) for kind, again, why in rows}
    assert said == {kind: (rule.transient, rule.why) for kind, rule in FAILURES.items()}
    assert list(said) == list(FAILURES)
