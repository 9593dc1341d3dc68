"""Reading a spec's text: plain data within bounds, and one clear refusal for anything else."""

import sys
from pathlib import Path

import pytest

from stagewright.state.refusals import Refusal
from stagewright.state.spec import load_spec, parse_spec

DATA = "data: {path: a.h5ad, patient: p, label: {column: c, positive: x, negative: y}}\n"
GOOD = "objective: x\n" + DATA
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nobjective: *c\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("objective: [unclosed\n" + DATA, "not plain YAML (line "),
        ("objective: x\nobjective: y\n" + DATA, "(line 2, column 1): 'objective' is written twice"),
        (GOOD + "budget: {retries: 1, retries: 2}\n", "'retries' is written twice"),
        (BOMB + DATA, "a spec has no YAML aliases (line 2)"),
        ("objective: !!python/object:os.system x\n" + DATA, "could not determine a constructor"),
        (GOOD + "? [a, b]\n: c\n", "a key is a plain word"),
        (GOOD + "? {a: b}\n: c\n", "a key is a plain word"),
        ("objective: x\n--- \nobjective: y\n", "found another document"),
        ("objective: \x00\n", "not plain YAML"),
        ("objective: " + "[" * 200 + "]" * 200 + "\n" + DATA, "not nested or long like this (line 1)"),
        ("objective: [" + "x," * 60_000 + "]\n" + DATA, "not nested or long like this (line 1)"),
        ("#" * (1 << 20) + "\n" + GOOD, "larger than 1 MiB"),
        ('{"objective": "x", "objective": "y"}', "'objective' is written twice"),
        ('{"objective": "x", "data": {"path": "a", "path": "b"}}', "'path' is written twice"),
        ('{"objective": ', "not plain YAML or JSON"),
        ('{"objective": ' + "[" * 100_000, "not plain YAML or JSON"),
        ('{"objective": "\\ud800"}', "objective: got"),
        ("objective: \ud800\n" + DATA, "not plain YAML"),
        ("<<: {objective: x}\n" + DATA + "objective: 2026-11-22\n", "objective: got datetime.date(2026, 11, 22)"),
    ],
    ids=range(19),
)
def test_what_is_not_plain_data_is_refused(text: str, says: str) -> None:
    """No aliases that unfold, no key twice, no tags, nothing too deep or too long; in YAML and in JSON."""
    with pytest.raises(Refusal) as caught:
        parse_spec(text)
    assert caught.value.code == "invalid_spec"
    assert says in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_a_file_is_read_with_its_name_in_every_fault(tmp_path: Path) -> None:
    """No such file, a folder, bytes that are no text, more than a page."""
    with pytest.raises(Refusal, match="there is no spec file at"):
        load_spec(tmp_path / "missing.yaml")
    with pytest.raises(Refusal, match="there is no spec file at"):
        load_spec(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refusal, match=r"binary\.yaml cannot be read as UTF-8 text"):
        load_spec(tmp_path / "binary.yaml")
    (tmp_path / "long.yaml").write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(Refusal, match=r"long\.yaml is larger than 1 MiB"):
        load_spec(tmp_path / "long.yaml")
    with pytest.raises(Refusal, match="cannot be read"):
        load_spec(tmp_path / ("x" * 300))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a device file")
def test_a_device_is_no_spec_file() -> None:
    """A file without an end is not read to its end."""
    with pytest.raises(Refusal, match="there is no spec file at"):
        load_spec(Path("/dev/zero"))


def test_windows_line_ends_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    """Editors write them."""
    path = tmp_path / "spec.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_spec(path).objective == "x"


def test_loading_leaves_the_recursion_limit_alone() -> None:
    """A deep text is refused without changing the interpreter."""
    before = sys.getrecursionlimit()
    with pytest.raises(Refusal):
        parse_spec('{"objective": ' + "[" * 100_000)
    assert sys.getrecursionlimit() == before
