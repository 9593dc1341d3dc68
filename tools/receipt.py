"""Make a run's receipt, keep one in the run, and compare a receipt with the record as it is now."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from stagewright.state.chain import Head, Problem
from stagewright.state.receipt import Receipt, digest_artifacts, one_line, read_receipt
from stagewright.state.replace_file import write_atomically
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.verification.fold import Recorded
from stagewright.tools.verification.outcomes import ReadOutcome, read_outcomes
from stagewright.tools.verification.record import ReadRecord, read_details, read_ledger

__all__ = ["RECEIPTS", "kept_receipts", "make_receipt", "receipt_faults", "receipt_of", "write_receipt"]

RECEIPTS = "receipts"


def make_receipt(run: RunDirectory) -> Receipt:
    """Return the receipt of a run as it stands; logs are read and folded, artifacts are not read again.

    Raises
    ------
    ValueError
        When the ledger, or an outcome that it seals, does not hold.
    """
    ledger, folded = read_ledger(run)
    record = ReadRecord(ledger, folded, read_details(run))
    return receipt_of(record, read_outcomes(run, folded))


def receipt_of(record: ReadRecord, outcomes: Iterable[ReadOutcome]) -> Receipt:
    """Return the receipt of a record that was read. Raises `ValueError` as `make_receipt`."""
    logs = {"agent_run": record.ledger, **record.details}
    if (broken := next((log.shown for log in logs.values() if log.missing or log.faults), None)) is not None:
        raise ValueError(f"{broken} does not hold together")
    if not record.folded.holds:
        raise ValueError("the ledger does not hold together")
    return _as_of(record, outcomes, {name: log.head_read for name, log in logs.items()})


def write_receipt(run: RunDirectory, name: str) -> tuple[Receipt, Path] | None:
    """Keep a receipt in the run's `receipts/`; None where the disk does not take it or the record does not hold."""
    with suppress(OSError, ValueError):
        receipt, place = make_receipt(run), run.path / RECEIPTS / f"{name}.txt"
        place.parent.mkdir(exist_ok=True)
        write_atomically(place, receipt.text())
        return receipt, place
    return None


def kept_receipts(run: RunDirectory, record: ReadRecord, outcomes: list[ReadOutcome]) -> Iterator[Problem]:
    """Compare the receipts that lie in the run with its record. Only one that lies elsewhere proves more than that."""
    for place in sorted((run.path / RECEIPTS).glob("*.txt")):
        shown = place.relative_to(run.path).as_posix()
        try:
            content = place.read_bytes()
            receipt = read_receipt(content.decode()).receipt
        except (OSError, ValueError) as error:
            yield Problem(shown, None, str(error))
            continue
        if receipt.text().encode() != content:
            yield Problem(shown, None, "is not in the form that was written")
        for what in receipt_faults(receipt, run, record, outcomes):
            yield Problem(shown, None, what, f"it was given as of {receipt.time}")


def receipt_faults(
    receipt: Receipt, run: RunDirectory, record: ReadRecord, outcomes: Iterable[ReadOutcome]
) -> Iterator[str]:
    """Yield in words where a record does not bear a receipt out. The logs may have grown since it was given."""
    if receipt.run_id != run.run_id:
        yield f"is the receipt of {receipt.run_id}, not of {run.run_id}"
        return
    fits = True
    for name, log in {"agent_run": record.ledger, **record.details}.items():
        head = receipt.heads[name]
        if log.missing:
            fits, what = False, f"names entry {head.seq} of {name}.log, which is missing"
        elif head.seq > log.n_lines:
            what = f"names entry {head.seq} of {name}.log, which ends at entry {log.n_lines}: that log was cut since"
        elif log.hashes[head.seq] != head.hash:
            what = f"names entry {head.seq} of {name}.log with another hash: what is there was written since"
        else:
            continue
        fits = False
        yield what
    if not fits or receipt.heads["agent_run"].seq > len(record.folded.recorded):
        return
    with suppress(ValueError):  # an outcome that cannot be read is named by `verify`
        expected = _as_of(record, outcomes, receipt.heads)
        for item in fields(Receipt):
            said, recorded = getattr(receipt, item.name), getattr(expected, item.name)
            if said != recorded:
                yield f"says {item.name} {said}; by the record it was {recorded}"


def _as_of(record: ReadRecord, outcomes: Iterable[ReadOutcome], heads: dict[str, Head]) -> Receipt:
    """Return the receipt of a record as it was when each log had this head."""
    if not heads["agent_run"].seq:
        raise ValueError("the ledger has no entry")
    item = record.folded.recorded[heads["agent_run"].seq - 1]
    state = item.state
    sealed = _sealed_artifacts(item, outcomes)
    logs = {"agent_run": record.ledger, **record.details}
    return Receipt(
        run_id=state.run_id,
        objective=one_line(state.objective),
        status=state.status,
        step=state.step,
        time=max(logs[name].times[head.seq] for name, head in heads.items() if head.seq),
        heads=heads,
        n_artifacts=len(sealed),
        artifacts_sha256=digest_artifacts(sealed),
        spec_sha256=state.spec_sha256,
        data_sha256=state.data.sha256,
    )


def _sealed_artifacts(item: Recorded, outcomes: Iterable[ReadOutcome]) -> dict[str, str]:
    by_attempt = {read.event.attempt: read.outcome for read in outcomes}
    sealed: dict[str, str] = {}
    for step, newest in item.state.sealed.items():
        outcome = by_attempt.get(newest.attempt)
        if outcome is None:
            raise ValueError(f"the outcome of {step}, attempt {newest.attempt}, is missing or was changed")
        sealed |= {artifact.path: artifact.sha256 for artifact in outcome.artifacts}
    return sealed
