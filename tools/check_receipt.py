"""Check a receipt that was kept elsewhere against the run that it is of, and who signed it."""

from dataclasses import dataclass, field
from pathlib import Path

from stagewright.state.receipt import read_receipt
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.receipt import receipt_faults
from stagewright.tools.signing import SignatureFault, check_ssh
from stagewright.tools.verify_run import CheckedRun

__all__ = ["ReceiptCheck", "check_receipt"]


@dataclass(slots=True)
class ReceiptCheck:
    """What came of it.

    Attributes
    ----------
    faults
        Where the run or the signature does not bear the receipt out; none when it does.
    bears_out
        What the receipt proves then.
    notes
        What is known of its signature.
    """

    faults: list[str] = field(default_factory=list)
    bears_out: str = ""
    notes: list[str] = field(default_factory=list)


def check_receipt(
    file: Path, run: RunDirectory, checked: CheckedRun, allowed_signers: Path | None, signer: str | None
) -> ReceiptCheck:
    """Compare a receipt with a run that was verified.

    Parameters
    ----------
    file
        A text with one receipt in it. Its signature follows it there, or lies beside as ``FILE.sig``.
    allowed_signers, signer
        See `check_ssh`.
    """
    said = ReceiptCheck()
    try:
        written = read_receipt(file.read_text(encoding="utf-8"))
    except ValueError as error:
        said.faults.append(str(error))
        return said
    receipt = written.receipt
    said.faults += receipt_faults(receipt, run, checked.record, checked.outcomes)
    ledger = checked.record.ledger
    grown = ledger.n_lines - receipt.heads["agent_run"].seq
    since = f"; {grown} entries were added to the ledger since" if grown > 0 else ""
    if checked.problems and not said.faults:
        problems = "a problem" if len(checked.problems) == 1 else f"{len(checked.problems)} problems"
        said.faults.append(
            f"agrees in the last entries that it names, and the record has {problems}: what is named there is not, or "
            "may not be, what this receipt was given for"
        )
    said.bears_out = f"what was recorded until {receipt.time} is as it was when this receipt was given{since}"
    beside = file.with_name(f"{file.name}.sig")
    signature = beside.read_text(encoding="utf-8") if beside.is_file() else written.signature
    if signature is not None:
        try:
            said.notes.append(check_ssh(receipt.text(), signature, allowed_signers, signer))
        except SignatureFault as fault:
            said.faults.append(str(fault))
    elif allowed_signers is not None:
        said.faults.append(f"is not signed: it holds no SSH signature, and there is no {beside.name}")
    bundle = file.with_name(f"{file.name}.sigstore.json")
    if bundle.is_file():
        check = f"sigstore verify identity --bundle {bundle} --cert-identity WHO --cert-oidc-issuer URL {file}"
        said.notes.append(f"{bundle.name} is a signature of Sigstore, which is not checked here: `{check}` does")
    return said
