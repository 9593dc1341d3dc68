"""Digests that any implementation can recompute."""

import hashlib
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from stagewright.state.canonical import digest_file, digest_json, finite

# Keys in ASCII: there the order by UTF-16 units, which RFC 8785 asks for, is Python's order of strings.
KEYS = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=5)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


@given(VALUES)
def test_digests_agree_with_plain_sorted_json(value: JsonValue) -> None:
    """For everything but fractions, the canonical form is compact JSON with sorted keys in UTF-8."""
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert digest_json(value) == hashlib.sha256(plain).hexdigest()


@pytest.mark.parametrize(
    ("value", "form"),
    # From RFC 8785, section 3.2.2 and appendix B.
    [
        (333333333.33333329, b"333333333.3333333"),
        (1e30, b"1e+30"),
        (4.50, b"4.5"),
        (2e-3, b"0.002"),
        (1e-27, b"1e-27"),
        (-0.0, b"0"),
        (1e21, b"1e+21"),
        (100.0, b"100"),
        ({"\u20ac": 1, "\r": 2, "1": 3}, b'{"\\r":2,"1":3,"\xe2\x82\xac":1}'),
    ],
)
def test_numbers_and_keys_have_the_form_of_the_standard(value: JsonValue, form: bytes) -> None:
    """Fractions and non-ASCII keys, against the examples of the standard."""
    assert digest_json(value) == hashlib.sha256(form).hexdigest()


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53 + 1, "\ud800"])
def test_what_json_cannot_say_has_no_digest(value: JsonValue) -> None:
    """NaN, infinity, integers that readers would round, and lone surrogates are refused, not changed."""
    with pytest.raises(ValueError, match=r"."):
        digest_json(value)


def test_a_files_digest_is_that_of_its_bytes(tmp_path: Path) -> None:
    """Also for a file longer than one block, and an empty one."""
    content = bytes(range(256)) * 5000
    (tmp_path / "long").write_bytes(content)
    (tmp_path / "empty").touch()
    assert digest_file(tmp_path / "long") == hashlib.sha256(content).hexdigest()
    assert digest_file(tmp_path / "empty") == hashlib.sha256(b"").hexdigest()


def test_finite() -> None:
    """What JSON cannot say becomes None."""
    assert [finite(value) for value in (1.5, math.nan, math.inf, -math.inf)] == [1.5, None, None, None]
