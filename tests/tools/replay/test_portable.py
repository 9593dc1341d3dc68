"""What leaves a machine with a cassette, and what counts as the same in two answers."""

from pathlib import Path
from typing import Any

import pytest

from stagewright.tools.replay.portable import Portable, marked

RUN = "20261201_020304_does-it-hold_0123abcd"


@pytest.fixture
def portable() -> Portable:
    return Portable(Path("/var/lab/ada/study"), {RUN: "<run-1>"})


def test_ids_and_the_root_become_placeholders_that_come_back(portable: Portable) -> None:
    """What the record says of this root is said of any other."""
    said: Any = {"run_dir": f"/var/lab/ada/study/experiments/{RUN}", "next": {"arguments": {"run_id": RUN}}}
    out = portable.out(said)
    assert out == {"run_dir": "<root>/experiments/<run-1>", "next": {"arguments": {"run_id": "<run-1>"}}}
    assert portable.back(out) == said


@pytest.mark.parametrize(
    "text",
    [
        "the data file /srv/hospital/donors.h5ad is not there",
        "File '/var/lab/ada/.venv/lib/python3.11/site-packages/anndata/x.py', line 3",
        "see ~/secret/notes.txt",
        "(/data/x/y)",
    ],
)
def test_no_path_of_the_machine_is_left(portable: Portable, text: str) -> None:
    """Whatever stands before and after a path, it is replaced by one that is nobody's."""
    out = str(portable.out(text))
    assert "/elsewhere/path-1" in out
    for part in ("srv", "hospital", "ada", "secret", "/data"):
        assert part not in out


@pytest.mark.parametrize("text", ["A/plan0 is ready", "hvg_3000/nmf/k_20 wins", "3 and/or 4", "see https://x.org/a/b"])
def test_what_only_looks_like_a_path_stays(portable: Portable, text: str) -> None:
    """Steps, configurations and addresses are words of the record."""
    assert portable.out(text) == text


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdefghijklmnopqrstuvwx",
        "ghp_" + "a" * 36,
        "Authorization: Bearer abcdefghijklmnop.qrs",
        "https://ada:hunter22@example.org/data.h5ad",
        "AKIAIOSFODNN7EXAMPLE",
    ],
)
def test_secrets_are_taken_out_of_text(portable: Portable, secret: str) -> None:
    """Tokens of well-known forms, and passwords in addresses."""
    out = str(portable.out(f"called with {secret} today"))
    assert "<secret>" in out
    for part in ("abcdefghijkl", "a" * 36, "hunter22", "AKIAIOSFODNN7"):
        assert part not in out


def test_secrets_are_taken_out_by_the_names_of_their_fields(portable: Portable) -> None:
    """A field that says so is believed."""
    assert portable.out({"api_key": "x", "tokens_left": 3}) == {"api_key": "<secret>", "tokens_left": 3}


def test_times_and_sizes_are_marked_and_results_are_not() -> None:
    """Two answers that differ in nothing but how long it took are the same."""
    one: dict[str, Any] = {
        "summary": "A/plan0 executed in 2.05s, peak 266 MiB (6%); 19 artifacts sealed.",
        "elapsed_s": 2.05,
        "metrics": {"plan0.pca.k": 5, "plan0.pca.explained": 0.1},
        "budget": {"memory_limit_bytes": 1024, "peak_rss_bytes": 77},
    }
    other: dict[str, Any] = one | {
        "summary": "A/plan0 executed in 1min3s, peak 1.2 GiB (31%); 19 artifacts sealed.",
        "elapsed_s": 63.0,
        "budget": {"memory_limit_bytes": 1024, "peak_rss_bytes": 99},
    }
    assert marked(one) == marked(other) == marked(marked(one))
    longer = "A/plan0 executed in 2.05s, peak 266 MiB (6%); 20 artifacts sealed."
    assert marked(one) != marked(other | {"summary": longer})
    another: dict[str, Any] = one | {"metrics": {"plan0.pca.k": 6, "plan0.pca.explained": 0.1}}
    assert marked(one) != marked(another)
    richer: dict[str, Any] = one | {"budget": {"memory_limit_bytes": 2048, "peak_rss_bytes": 77}}
    assert marked(one) != marked(richer)


def test_how_far_a_running_step_has_got_is_not_compared() -> None:
    """It is a matter of the clock; that it runs, and what follows, is not."""
    one: dict[str, Any] = {"status": "running", "step": "A/plan0", "done": 1, "total": 9, "summary": "1 of 9"}
    assert marked(one) == marked(one | {"done": 2, "summary": "2 of 9"})
    assert marked(one) != marked(one | {"step": "A/plan1a"})
