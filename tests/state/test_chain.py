"""The hash chain: whatever is changed in a log shows."""

import json
from pathlib import Path

import pytest

from stagewright.state.canonical import digest_json
from stagewright.state.chain import GENESIS, ChainedLog, Head
from stagewright.state.refusals import LedgerCorrupt

AT = "2026-11-22T13:41:56.120Z"


@pytest.fixture
def log(tmp_path: Path) -> ChainedLog:
    """Write three entries with nested, non-ASCII and numeric values."""
    log = ChainedLog(tmp_path / "small.log")
    log.append(AT, {"event": "first", "message": "größer", "step": None, "b": {"z": 1, "a": [1.5, None]}})
    log.append(AT, {"event": "second", "message": "two", "step": "A/plan0", "n": 2})
    log.append(AT, {"event": "third", "message": "three", "step": "A/plan0", "ok": True})
    return log


def test_entries_come_back_as_they_were_written(log: ChainedLog) -> None:
    """Numbers count from 1 and each entry names the hash of the one before."""
    entries = list(log.verified())
    assert [entry["seq"] for entry in entries] == [1, 2, 3]
    assert [entry["prev"] for entry in entries] == [GENESIS, entries[0]["hash"], entries[1]["hash"]]
    assert entries[0]["b"] == {"z": 1, "a": [1.5, None]}
    assert log.head() == Head(3, str(entries[2]["hash"]))
    assert log.problems() == []


def test_a_hash_can_be_recomputed_from_the_entry_alone(log: ChainedLog) -> None:
    """It is the digest of the entry without its hash."""
    for entry in log.entries():
        assert digest_json({key: value for key, value in entry.items() if key != "hash"}) == entry["hash"]


def test_the_keys_that_people_read_come_first(log: ChainedLog) -> None:
    """The time, number, step, event and message stand first, the chain last."""
    keys = list(json.loads(log.path.read_text(encoding="utf-8").splitlines()[1]))
    assert keys == ["at", "seq", "step", "event", "message", "n", "prev", "hash"]


def test_an_empty_or_missing_log_has_the_first_head(tmp_path: Path) -> None:
    """Nothing was written yet."""
    missing = ChainedLog(tmp_path / "missing.log")
    assert missing.head() == Head(0, GENESIS)
    assert list(missing.verified()) == []
    (tmp_path / "empty.log").touch()
    assert ChainedLog(tmp_path / "empty.log").head() == Head(0, GENESIS)


def broken(log: ChainedLog, content: bytes) -> bool:
    """Return whether both ways of verifying find fault with the content."""
    log.path.write_bytes(content)
    try:
        for _ in log.verified():
            pass
    except LedgerCorrupt:
        assert log.problems()
        return True
    assert not log.problems()
    return False


def test_every_flipped_byte_shows(log: ChainedLog) -> None:
    """Each byte of the log in turn, with each of two of its bits flipped."""
    whole = log.path.read_bytes()
    for place in range(len(whole) - 1):
        for bit in (1 << place % 3, 32):
            edited = bytearray(whole)
            edited[place] ^= bit
            assert broken(log, bytes(edited)), f"byte {place} {whole[place : place + 1]!r} ^ {bit}"


def test_every_removed_or_doubled_byte_shows(log: ChainedLog) -> None:
    """Removing or doubling any byte but the last line feed."""
    whole = log.path.read_bytes()
    for place in range(len(whole) - 1):
        assert broken(log, whole[:place] + whole[place + 1 :]), f"byte {place} removed"
        assert broken(log, whole[:place] + whole[place : place + 1] + whole[place:]), f"byte {place} doubled"


def test_a_cut_last_line_feed_is_a_torn_tail_and_no_entry(log: ChainedLog) -> None:
    """Without its line feed the last line was never acknowledged: it is not read. Anchors show a cut of this kind."""
    whole = log.path.read_bytes()
    assert not broken(log, whole[:-1])
    assert log.head().seq == 2


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ((1, 0, 2), "two lines changed places"),
        ((0, 2), "a line was removed"),
        ((1, 2), "the first line was removed"),
        ((0, 1, 1, 2), "a line was doubled"),
        ((2, 0, 1), "a line was moved"),
    ],
)
def test_lines_have_one_order(log: ChainedLog, order: tuple[int, ...], why: str) -> None:
    """No line can be moved, removed or doubled."""
    lines = log.path.read_bytes().splitlines(keepends=True)
    assert broken(log, b"".join(lines[number] for number in order)), why


def test_a_rewritten_line_shows_though_its_meaning_is_the_same(log: ChainedLog) -> None:
    """Other key order, white space, escapes, a blank line, or a key written twice are changes too."""
    lines = log.path.read_bytes().splitlines(keepends=True)
    entry = json.loads(lines[1])
    same = [
        json.dumps(dict(reversed(entry.items()))).encode() + b"\n",
        json.dumps(entry, separators=(",", ":")).encode() + b"\n",
        json.dumps(entry, ensure_ascii=True).replace("two", "\\u0074wo").encode() + b"\n",
        lines[1][:-1] + b" \n",
        lines[1][:-1] + b"\r\n",
        lines[1].replace(b'{"at"', b'{"seq": 1, "at"', 1),
        lines[1].replace(b'"n": 2', b'"n": 2.0'),
        b"\n" + lines[1],
    ]
    for form in same:
        assert broken(log, lines[0] + form + lines[2]), form


def test_a_line_rewritten_with_a_right_hash_breaks_the_next(log: ChainedLog) -> None:
    """Who recomputes one hash has to recompute all that follow, and the ledger's anchors with them."""
    lines = log.path.read_bytes().splitlines(keepends=True)
    forged = ChainedLog(log.path.with_name("forged.log"))
    forged.append(AT, {"event": "first", "message": "another", "step": None})
    assert broken(log, forged.path.read_bytes() + lines[1] + lines[2])
    with pytest.raises(LedgerCorrupt, match=r"small\.log:2: .*prev differs"):
        list(log.verified())


def test_every_bad_line_is_reported_once_with_its_number(log: ChainedLog) -> None:
    """A person who has to look is told all places at once."""
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(lines[0].replace(b"1.5", b"2.5") + b"not json\n" + lines[2])
    assert [(problem.file, problem.line) for problem in log.problems()] == [
        ("small.log", 1),
        ("small.log", 2),
        ("small.log", 3),
    ]
    assert str(log.problems()[0]).startswith("small.log:1: was changed")


@pytest.mark.parametrize("line", [b"[]\n", b"{}\n", b'"text"\n', b"\xff\xfe\n", b"[" * 100_000 + b"\n"])
def test_foreign_lines_are_damage_not_a_crash(log: ChainedLog, line: bytes) -> None:
    """Whatever stands in the file, a reader is told that the log is damaged."""
    content = log.path.read_bytes() + line
    assert broken(log, content)
    with pytest.raises(LedgerCorrupt):
        log.head()
    with pytest.raises(LedgerCorrupt):
        log.append(AT, {"event": "next", "message": "", "step": None})
    assert log.path.read_bytes() == content


@pytest.mark.parametrize("length", [8191, 8192, 8193, 100_000])
def test_long_lines(tmp_path: Path, length: int) -> None:
    """The end of a log is found behind lines of any length."""
    log = ChainedLog(tmp_path / "long.log")
    for number in range(3):
        log.append(AT, {"event": "long", "message": "ö" * (length // 2), "step": None, "number": number})
    assert log.head().seq == 3
    assert [entry["number"] for entry in log.verified()] == [0, 1, 2]
