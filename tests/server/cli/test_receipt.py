"""`stagewright receipt` prints what a run's record was; `verify --receipt` says whether it still is that."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stagewright.server.cli import main
from stagewright.state.receipt import read_receipt
from stagewright.state.run_directory import RunDirectory, list_runs

needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")


@pytest.fixture
def receipt(finished: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Write the receipt of the finished run to a file outside of it."""
    file = tmp_path / "receipt.txt"
    assert main(["receipt", str(finished.path), "--out", str(file)]) == 0
    assert capsys.readouterr().out == file.read_text()
    return file


@pytest.fixture
def checked(finished: RunDirectory, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Return a function that verifies the run against a receipt and gives status and text."""

    def check(file: Path, *words: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main(["verify", str(finished.path), "--receipt", str(file), *words])
        return status, capsys.readouterr().out

    return check


def test_a_receipt_is_short_and_says_what_it_is_of(finished: RunDirectory, receipt: Path) -> None:
    """Thirteen lines; the last is the digest of the others, as `head -n -1 | sha256sum` gives it."""
    text = receipt.read_text()
    lines = text.splitlines()
    assert lines[:4] == [
        "stagewright receipt 1",
        f"run {finished.run_id}",
        "objective Does the loop run?",
        "status completed at C/noop",
    ]
    assert [line.split()[0] for line in lines[4:]] == [
        *("time", "agent_run.log", "validation.log", "decision.log", "tool_calls.log"),
        *("artifacts", "spec", "data", "digest"),
    ]
    above = "".join(f"{line}\n" for line in lines[:-1])
    assert lines[-1] == f"digest {hashlib.sha256(above.encode()).hexdigest()}"
    sums = [
        f"{hashlib.sha256((finished.path / path).read_bytes()).hexdigest()}  {path}\n"
        for path in (f"{checkpoint}/analysis/noop/result.txt" for checkpoint in "ABC")
    ]
    assert lines[9] == f"artifacts 3 {hashlib.sha256(''.join(sums).encode()).hexdigest()}"
    assert lines[10] == f"spec {hashlib.sha256(finished.spec.read_bytes()).hexdigest()}"


def test_the_same_record_gives_the_same_receipt(
    finished: RunDirectory, receipt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whenever it is printed, and with --json too."""
    assert main(["receipt", str(finished.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["receipt"] == receipt.read_text()


def test_a_run_bears_its_receipt_out_also_when_it_has_grown(
    finished: RunDirectory, receipt: Path, checked: Callable[..., tuple[int, str]]
) -> None:
    """The entries that it names are still there; more may follow. A commit message around it is passed over."""
    status, said = checked(receipt)
    assert status == 0
    assert "is as it was when this receipt was given" in said
    root = finished.path.parent.parent
    assert main(["state", finished.run_id, "--root", str(root)]) == 0  # one more call in tool_calls.log
    indented = "".join(f"    {line}\n" for line in receipt.read_text().splitlines())
    receipt.write_text(f"commit 1234\n\n    Keep what the study found\n\n{indented}\nSigned-off-by: a person\n")
    assert checked(receipt)[0] == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("completed", "stopped"), "was changed after it was printed"),
        (lambda text: text.replace("status completed at C/noop\n", ""), "where the line 'status ...' belongs it has"),
        (lambda text: text[: len(text) // 2], "holds no whole receipt"),
        (lambda _: "Dear diary", "holds no receipts; one begins with the line 'stagewright receipt 1'"),
        (lambda text: text + text, "holds 2 receipts"),
        (lambda text: text.replace("receipt 1", "receipt 9"), "a receipt of another version"),
    ],
    ids=["edited", "a line gone", "cut", "something else", "two", "another version"],
)
def test_what_is_no_receipt_is_said(
    receipt: Path, checked: Callable[..., tuple[int, str]], change: Callable[[str], str], says: str
) -> None:
    """Status 1, and what is wrong with it."""
    receipt.write_text(change(receipt.read_text()))
    status, said = checked(receipt)
    assert status == 1
    assert says in said


def forged(text: str, name: str, value: str) -> str:
    """Return a receipt with another value and a digest that fits."""
    lines = [f"{name} {value}" if line.startswith(f"{name} ") else line for line in text.splitlines()[:-1]]
    above = "".join(f"{line}\n" for line in lines)
    return f"{above}digest {hashlib.sha256(above.encode()).hexdigest()}\n"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("run", "20261122_134156_another_0123abcd", "is the receipt of 20261122_134156_another_0123abcd, not of"),
        ("tool_calls.log", f"900 {'0' * 64}", "names entry 900 of tool_calls.log, which ends at entry"),
        ("decision.log", f"1 {'0' * 64}", "names entry 1 of decision.log with another hash"),
        ("spec", "0" * 64, "says spec_sha256 000"),
        ("data", "0" * 64, "says data_sha256 000"),
        ("artifacts", f"3 {'0' * 64}", "says artifacts_sha256 000"),
        ("status", "running at C/noop", "says status running; by the record it was completed"),
    ],
)
def test_a_receipt_that_the_record_does_not_bear_out_is_refuted(
    receipt: Path, checked: Callable[..., tuple[int, str]], name: str, value: str, says: str
) -> None:
    """Each line of it is compared."""
    receipt.write_text(forged(receipt.read_text(), name, value))
    status, said = checked(receipt)
    assert status == 1
    assert says in said


def test_a_run_that_does_not_hold_gets_no_receipt(finished: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1, and the command that says why."""
    (finished.path / "B" / "analysis" / "noop" / "result.txt").write_text("DONE")
    assert main(["receipt", str(finished.path)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "does not hold together (1 problem): no receipt" in shown.err


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Make an SSH key."""
    place = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(place)], check=True)
    return place


def signers_of(key: Path, name: str) -> Path:
    place = key.with_name("allowed_signers")
    place.write_text(f'{name} namespaces="stagewright" {key.with_suffix(".pub").read_text()}')
    return place


@needs_ssh_keygen
def test_a_signature_beside_or_behind_is_checked(
    finished: RunDirectory,
    key: Path,
    tmp_path: Path,
    checked: Callable[..., tuple[int, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the allowed signers it says who signed; without them with which key, and that nobody said whose that is."""
    file = tmp_path / "signed.txt"
    sign = ["receipt", str(finished.path), "--sign", "ssh", "--key", str(key)]
    capsys.readouterr()
    assert main(sign) == 0
    shown = capsys.readouterr().out
    file.write_text(shown)
    assert read_receipt(shown).signature is not None
    status, said = checked(file)
    assert status == 0
    assert "whose key that is was not checked: give --allowed-signers FILE" in said
    signers = signers_of(key, "reviewer@example.org")
    status, said = checked(file, "--allowed-signers", str(signers))
    assert (status, "signed by reviewer@example.org" in said) == (0, True)
    status, said = checked(file, "--allowed-signers", str(signers), "--signer", "somebody@example.org")
    assert (status, "it was not signed by somebody@example.org" in said) == (1, True)

    file.unlink()
    assert main([*sign, "--out", str(file)]) == 0
    assert read_receipt(file.read_text()).signature is None
    assert file.with_name("signed.txt.sig").is_file()
    assert checked(file, "--allowed-signers", str(signers))[0] == 0
    file.write_text(forged(file.read_text(), "spec", "0" * 64))
    status, said = checked(file, "--allowed-signers", str(signers))
    assert (status, "the signature is not one of this receipt" in said) == (1, True)


@needs_ssh_keygen
def test_an_unsigned_receipt_and_a_strangers_key_are_told(
    finished: RunDirectory, receipt: Path, key: Path, tmp_path: Path, checked: Callable[..., tuple[int, str]]
) -> None:
    """Whoever names allowed signers wants a signature of one of them."""
    signers = signers_of(key, "reviewer@example.org")
    status, said = checked(receipt, "--allowed-signers", str(signers))
    assert (status, "is not signed" in said) == (1, True)
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    assert main(["receipt", str(finished.path), "--sign", "ssh", "--key", str(other), "--out", str(receipt)]) == 0
    status, said = checked(receipt, "--allowed-signers", str(signers))
    assert (status, "a key of nobody in" in said) == (1, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["receipt", "RUN", "--sign", "ssh"], "--sign ssh and --key FILE go together"),
        (["receipt", "RUN", "--sign", "sigstore"], "give --out FILE"),
        (["verify", "RUN", "--signer", "x"], "give --receipt FILE"),
        (["verify", "--all", "--receipt", "FILE"], "name that run"),
        (["verify", "RUN", "--receipt", "FILE", "--signer", "x"], "--signer needs --allowed-signers FILE"),
    ],
)
def test_options_that_do_not_go_together(
    receipt: Path, finished: RunDirectory, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Usage errors, with what is missing."""
    places = {"RUN": str(finished.path), "FILE": str(receipt)}
    assert main([places.get(word, word) for word in words]) == 2
    assert says in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_sigstore_is_an_extra(
    finished: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where its package is not installed, the extra is named."""
    monkeypatch.setattr("stagewright.tools.signing.find_spec", lambda _: None)
    words = ["receipt", str(finished.path), "--sign", "sigstore", "--out", str(tmp_path / "r.txt")]
    assert main(words) == 3
    assert "pip install 'stagewright[sigstore]'" in capsys.readouterr().err


def test_approve_gives_a_receipt(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is printed, for it to be kept elsewhere, and lies in the run, where `verify` compares it."""
    at = ("--root", str(root))
    (root / "spec.yaml").write_text((root / "spec.yaml").read_text() + "approvals: [A]\n")
    assert main(["plan", str(root / "spec.yaml"), *at]) == 0
    (run,) = list_runs(root)
    capsys.readouterr()
    main(["approve", run.run_id, "--json", *at])
    digest = json.loads(capsys.readouterr().out)["digest"]
    assert main(["approve", run.run_id, "--digest", digest, "--reason", "it is fine", *at]) == 0
    shown = capsys.readouterr().out
    (kept,) = (run.path / "receipts").iterdir()
    assert kept.name == "0002_A.txt"
    assert kept.read_text() in shown
    assert "keep the text above somewhere else" in " ".join(shown.split())
    outside = tmp_path / "kept.txt"
    outside.write_text(shown)
    assert main(["verify", run.run_id, "--receipt", str(outside), *at]) == 0
    kept.write_text(kept.read_text().replace("planned", "stopped"))
    capsys.readouterr()
    assert main(["verify", run.run_id, *at]) == 1
    assert "receipts/0002_A.txt: was changed after it was printed" in capsys.readouterr().out


def test_a_receipt_vouches_for_no_record_that_does_not_hold(
    finished: RunDirectory, receipt: Path, checked: Callable[..., tuple[int, str]]
) -> None:
    """The last entries that it names are there; a line before them was changed, so the record is another."""
    log = finished.log("agent_run")
    lines = log.read_text().splitlines(keepends=True)
    lines[3] = lines[3].replace("noop", "none", 1)
    log.write_text("".join(lines))
    status, said = checked(receipt)
    assert status == 1
    assert "is as it was when this receipt was given" not in said
    assert "is not, or may not be, what this receipt was given for" in said


def test_a_receipt_is_not_written_over(
    finished: RunDirectory, receipt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be the only copy of an older one. The same text again is no matter."""
    assert main(["receipt", str(finished.path), "--out", str(receipt)]) == 0
    receipt.write_text("an older receipt")
    capsys.readouterr()
    assert main(["receipt", str(finished.path), "--out", str(receipt)]) == 3
    assert "something else lies there" in capsys.readouterr().err
    assert receipt.read_text() == "an older receipt"
