"""The lock-box: patients are put aside once, and questions about them are counted over all runs."""

import json
import stat
from pathlib import Path

import pytest
from pydantic import JsonValue

from stagewright.state.canonical import digest_json
from stagewright.state.holdout import HoldoutDraw, HoldoutScore
from stagewright.state.lockbox import Lockbox
from stagewright.state.refusals import LedgerCorrupt


def draw(*patients: str) -> HoldoutDraw:
    return HoldoutDraw(
        patients=patients,
        digests=tuple(digest_json(f"cells of {name.strip('_')}") for name in patients),
        n_both=len(patients),
        n_both_in_all=8,
        n_cells=10,
    )


def fields(run_id: str = "run") -> dict[str, JsonValue]:
    return {"run_id": run_id, "configuration": "hvg/pca/k_2"}


@pytest.fixture
def box(tmp_path: Path) -> Lockbox:
    return Lockbox(tmp_path / "outside" / "box")


def test_the_same_patients_are_put_aside_once(box: Lockbox) -> None:
    """With one salt and one commitment, which can be recomputed; the folder is its owner's alone."""
    first = box.put_aside(draw("p1", "p2"), "label", 3)
    assert box.put_aside(draw("p1", "p2"), "label", 3) == first
    assert len((box.folder / "lockbox.log").read_text().splitlines()) == 1
    assert first.commitment == digest_json({"salt": first.salt, "patients": ["p1", "p2"]})
    assert box.find(first.commitment) == first
    assert box.find("0" * 64) is None
    assert stat.S_IMODE(box.folder.stat().st_mode) == 0o700
    other = box.put_aside(draw("p1", "p2"), "other_label", 3)
    assert other.salt != first.salt


def test_a_question_is_counted_before_it_is_answered_and_once(box: Lockbox) -> None:
    """A question that was opened and killed keeps its count; asked again it is the same question."""
    kept = box.put_aside(draw("p1", "p2"), "label", 2)
    opened = box.open_query(kept, "a", fields(), 2)
    assert (opened.number, opened.answer) == (1, None)
    assert box.used(kept.digests, "label") == (1, 2)
    assert box.open_query(kept, "a", fields(), 2) == opened
    score = HoldoutScore(outcome="scored", auc=0.5, configuration="c", query=1, queries=2)
    box.answer("a", score)
    assert box.open_query(kept, "a", fields(), 2).answer == score
    assert box.open_query(kept, "b", fields(), 2).number == 2
    refused = box.open_query(kept, "c", fields(), 2).answer
    assert refused is not None
    assert (refused.outcome, refused.auc, refused.query) == ("used_up", None, 2)
    assert box.used(kept.digests, "label") == (2, 2)
    assert box.open_query(kept, "a", fields(), 2).answer == score


@pytest.mark.parametrize("patients", [("p2", "p3"), ("p2_",), ("p1", "p2", "p3")], ids=str)
def test_whoever_shares_a_patient_shares_the_count(box: Lockbox, patients: tuple[str, ...]) -> None:
    """Another draw, or another name for a patient with the same cells, opens no fresh count and raises no limit."""
    kept = box.put_aside(draw("p1", "p2"), "label", 1)
    box.open_query(kept, "a", fields(), 1)
    again = box.put_aside(draw(*patients), "label", 50)
    assert box.used(again.digests, "label") == (1, 1)
    refused = box.open_query(again, "b", fields("another"), 50).answer
    assert refused is not None
    assert refused.outcome == "used_up"


def test_other_patients_and_other_labels_have_counts_of_their_own(box: Lockbox) -> None:
    kept = box.put_aside(draw("p1"), "label", 1)
    box.open_query(kept, "a", fields(), 1)
    for stranger in (box.put_aside(draw("p9"), "label", 1), box.put_aside(draw("p1"), "sex", 1)):
        assert box.open_query(stranger, f"b {stranger.label_column}", fields(), 1).answer is None


def test_a_run_may_allow_itself_fewer(box: Lockbox) -> None:
    kept = box.put_aside(draw("p1"), "label", 3)
    box.open_query(kept, "a", fields(), 3)
    refused = box.open_query(kept, "b", fields(), 1).answer
    assert refused is not None
    assert refused.queries == 1


def test_patients_put_aside_are_told_in_their_order(box: Lockbox) -> None:
    box.put_aside(draw("p2", "p3"), "label", 1)
    box.put_aside(draw("p3", "p1"), "label", 1)
    assert box.earlier("label") == draw("p2", "p3", "p1").digests
    assert box.earlier("sex") == ()


def test_a_question_that_was_struck_out_shows(box: Lockbox) -> None:
    """The log is a hash chain: a line that is changed or taken away closes the lock-box."""
    kept = box.put_aside(draw("p1"), "label", 1)
    box.open_query(kept, "a", fields(), 1)
    box.answer("a", HoldoutScore(outcome="scored", auc=0.5, configuration="c", query=1, queries=1))
    log = box.folder / "lockbox.log"
    lines = log.read_text().splitlines(keepends=True)
    for spoilt in ([lines[0], lines[2]], [lines[0].replace('"queries": 1', '"queries": 9'), *lines[1:]]):
        log.write_text("".join(spoilt))
        with pytest.raises(LedgerCorrupt):
            box.open_query(kept, "b", fields(), 1)
    assert json.loads(lines[1])["event"] == "query_opened"
