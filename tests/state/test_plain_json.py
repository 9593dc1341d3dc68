"""The quick way says what the slow way says, or nothing."""

import hashlib
import random

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from stagewright.state.chain_line import GENESIS, Head, fault_of, serialise
from stagewright.state.plain_json import plain_canonical, plain_entry

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1e6, 1e6).map(lambda value: round(value, 4)),
    st.text(),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)


@settings(max_examples=600, deadline=None)
@given(VALUES)
def test_what_is_written_quickly_is_rfc_8785(value: JsonValue) -> None:
    """Byte for byte, for whatever JSON can say."""
    quick = plain_canonical(value)
    assert quick is None or quick == rfc8785.dumps(value)


def line_of(extra: dict[str, JsonValue], prev: str = GENESIS) -> bytes:
    entry = {"at": "2026-11-22T13:41:56.120Z", "seq": 1, "step": None, "event": "x", "message": "y", **extra}
    entry["prev"] = prev
    return serialise(entry | {"hash": hashlib.sha256(rfc8785.dumps(entry)).hexdigest()})


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=6), VALUES, min_size=1, max_size=4), st.integers(0, 2**32))
def test_a_line_that_holds_quickly_holds(extra: dict[str, JsonValue], seed: int) -> None:
    """Of lines as they are written, and of the same with some byte changed."""
    extra = {key: value for key, value in extra.items() if key not in ("at", "seq", "step", "event", "message", "prev")}
    try:
        line = line_of({key: value for key, value in extra.items() if key != "hash"})
    except (ValueError, rfc8785.CanonicalizationError):
        return
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    at = rng.randrange(len(line))
    for text in (line, line[:at] + bytes([rng.randrange(256)]) + line[at + 1 :], line[:at] + b" " + line[at:]):
        entry = plain_entry(text)
        if entry is not None:
            assert fault_of(entry, text, Head(0, GENESIS)) is None


def test_the_lines_that_are_written_most_are_read_quickly() -> None:
    """Text, small numbers, nested objects: a log of a hundred thousand such lines is read in seconds."""
    line = line_of(
        {"arguments": {"run_id": "x", "wait_s": 0}, "elapsed_s": 0.0123, "reply": {"k": {"fa": 20}, "n": []}}
    )
    assert plain_entry(line) is not None
    for unusual in ({"value": 2**52}, {"value": 1e21}, {"value": 1e-7}, {"\U0001f600": 1, "\uffff": 2}):
        assert plain_entry(line_of(dict(unusual))) is None, "left to the slow way"


def test_forged_forms_do_not_hold_quickly() -> None:
    """The same entry with keys in another order, other white space or another spelling of a number or a letter."""
    line = line_of({"reply": {"a": 1, "b": 0.5, "c": "/"}})
    assert plain_entry(line) is not None
    for old, new in (
        (b'"a": 1, "b": 0.5', b'"b": 0.5, "a": 1'),
        (b'"a": 1', b'"a":1'),
        (b"0.5", b"5e-1"),
        (b"0.5", b"0.50"),
        (b'"/"', b'"\\/"'),
        (b'"a"', b'"\\u0061"'),
        (b"}\n", b"} \n"),
        (b"}\n", b"}"),
    ):
        assert old in line
        assert plain_entry(line.replace(old, new, 1)) is None
