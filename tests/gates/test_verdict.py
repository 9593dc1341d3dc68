"""From findings to a verdict."""

import pytest

from stagewright.gates.protocol import Finding
from stagewright.gates.verdict import tally
from stagewright.state.records import Verdict


def _finding(severity: Verdict, gate: str = "embedding", subject: str = "fa/k_20") -> Finding:
    return Finding(
        gate=gate, subject=subject, severity=severity, measured="0.3", threshold="at least 0.5", reason="because"
    )


@pytest.mark.parametrize(
    ("severities", "verdict"),
    [
        (("pass", "pass"), "pass"),
        (("pass", "warn"), "warn"),
        (("warn", "fail", "pass"), "fail"),
        (("fail", "error", "warn"), "error"),
    ],
)
def test_the_worst_finding_is_the_verdict(severities: tuple[Verdict, ...], verdict: str) -> None:
    """Error is worse than fail, fail than warn, warn than pass."""
    found, counted = tally([_finding(severity) for severity in severities], n_gates=1)
    assert found == verdict
    assert counted.passed + counted.warned + counted.failed + counted.errors == len(severities)


def test_a_step_that_nothing_judged_has_not_passed() -> None:
    """No finding is an error; so is no gate, whatever was found; so is a gate that was not heard."""
    for findings, n_gates in (([], 3), ([], 0), ([_finding("pass")], 0), ([_finding("pass")], 2)):
        verdict, counted = tally(findings, n_gates=n_gates)
        assert verdict == "error"
        assert counted.errors == 1
        assert counted.would_pass is not None


def test_a_failure_stands_when_other_gates_were_not_run() -> None:
    """After a broken seal the other gates stay silent, and the verdict is the failure that says why."""
    verdict, counted = tally([_finding("fail", "artifact_integrity")], n_gates=9)
    assert (verdict, counted.errors) == ("fail", 0)


def test_the_worst_come_first_and_are_bounded() -> None:
    """Five at most, passes never; the order among equals is that of the gates."""
    findings = [
        _finding("pass"),
        _finding("warn"),
        *(_finding("fail", subject=f"k_{n}") for n in range(6)),
        _finding("error"),
    ]
    _, counted = tally(findings, n_gates=1)
    assert [item.severity for item in counted.worst] == ["error", *["fail"] * 4]
    assert [item.subject for item in counted.worst[1:]] == ["k_0", "k_1", "k_2", "k_3"]
    _, counted = tally([_finding("pass"), _finding("warn")], n_gates=1)
    assert [item.severity for item in counted.worst] == ["warn"]


def test_one_sentence_says_what_would_make_it_pass() -> None:
    """It names the gate, what it needs, the subject and what it measured, and counts the others."""
    _, counted = tally([_finding("fail"), _finding("fail"), _finding("pass")], n_gates=1)
    sentence = (
        "This step would pass without a fail if embedding found at least 0.5 on fa/k_20 (now: 0.3), "
        "and 1 other fail finding were settled."
    )
    assert counted.would_pass == sentence
    _, counted = tally([_finding("pass")], n_gates=1)
    assert counted.would_pass is None
