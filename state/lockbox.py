"""The lock-box: who was put aside, and how often anybody asked about them. It lies outside every run directory.

One append-only, hash-chained log, ``lockbox.log``, in a folder of the operator's:

- ``put_aside``: the patients of one hold-out with their digests, the salt and the commitment. Planning the same again
  finds the same entry.
- ``query_opened``: one question, counted before anything is computed. Its key is the run and the configuration, so that
  the question of one decision is counted once, however often the call is made or the process is killed.
- ``query_answered``: the score, from which the same question is answered from then on.

Questions are counted over all hold-outs of the same label column that share a patient, known by its cells: another
fraction, another filter, another name for a patient or a data file written again opens no fresh count. The first plan
that put one of the patients aside said how many there may be; a later one can lower that for itself.

The folder is made for its owner alone. That keeps out other accounts, not an agent with a shell of the same one.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from stagewright.state.chain import ChainedLog, Entry
from stagewright.state.clock import stamp, utc_now
from stagewright.state.holdout import HoldoutDraw, HoldoutScore, commitment_to
from stagewright.state.lock import run_lock
from stagewright.state.refusals import LedgerCorrupt

__all__ = ["LOCKBOX", "Lockbox", "OpenedQuery", "PutAside"]

LOCKBOX = ".stagewright-lockbox"
LOG = "lockbox.log"


@dataclass(frozen=True, slots=True)
class PutAside:
    """One hold-out of the lock-box."""

    commitment: str
    salt: str
    patients: tuple[str, ...]
    digests: tuple[str, ...]
    label_column: str
    queries: int


@dataclass(frozen=True, slots=True)
class OpenedQuery:
    """A question that may be answered.

    Attributes
    ----------
    number
        Which question about these patients it is, from 1; the number of those used where it is refused.
    answer
        What was answered before, if it was; a refusal where all questions were used.
    """

    number: int
    queries: int
    answer: HoldoutScore | None


class Lockbox:
    """The lock-box in one folder.

    Parameters
    ----------
    folder
        It is made, for its owner alone, when the first patients are put aside.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = ChainedLog(folder / LOG)

    def put_aside(self, draw: HoldoutDraw, label_column: str, queries: int) -> PutAside:
        """Keep the patients of a hold-out, or find them kept, and return them with the number of questions allowed.

        Raises
        ------
        LedgerCorrupt
            When the lock-box' log does not hold together.
        Refusal
            `run_locked` when another process does not let go of it.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._held():
            entries = self._entries()
            for kept in _hold_outs(entries):
                same = set(kept.patients) == set(draw.patients) and set(kept.digests) == set(draw.digests)
                if same and kept.label_column == label_column:
                    return kept
            salt = secrets.token_hex(32)
            new = PutAside(
                commitment=commitment_to(draw.patients, salt),
                salt=salt,
                patients=draw.patients,
                digests=draw.digests,
                label_column=label_column,
                queries=queries,
            )
            self._append(
                "put_aside",
                f"{len(new.patients)} patients put aside for {label_column}",
                {
                    "commitment": new.commitment,
                    "salt": new.salt,
                    "patients": [*new.patients],
                    "digests": [*new.digests],
                    "label_column": new.label_column,
                    "queries": new.queries,
                },
            )
            return new

    def find(self, commitment: str) -> PutAside | None:
        """Return the hold-out with a commitment; None where the lock-box has none, or its patients are others."""
        for kept in _hold_outs(self._entries()):
            if kept.commitment == commitment == commitment_to(kept.patients, kept.salt):
                return kept
        return None

    def earlier(self, label_column: str) -> tuple[str, ...]:
        """Return the digests of the patients that were put aside for a label, in the order in which, each once."""
        found = [kept for kept in _hold_outs(self._entries()) if kept.label_column == label_column]
        return tuple(dict.fromkeys(digest for kept in found for digest in kept.digests))

    def used(self, digests: Sequence[str], label_column: str) -> tuple[int, int | None]:
        """Return how many questions about any of these patients were opened, and how many their first plan allows."""
        related = _related(self._entries(), digests, label_column)
        return len(related.opened), related.queries

    def open_query(self, kept: PutAside, key: str, fields: dict[str, JsonValue], queries: int) -> OpenedQuery:
        """Count a question before it is answered; one that was opened before is not counted again.

        Parameters
        ----------
        key
            Tells one question from another.
        fields
            What else is written down of it.
        queries
            How many the asking run allows; the first plan of any of the patients may allow fewer.

        Raises
        ------
        LedgerCorrupt, Refusal
            As `put_aside`.
        """
        with self._held():
            entries = self._entries()
            related = _related(entries, kept.digests, kept.label_column)
            allowed = min(queries, related.queries or queries)
            if key in related.opened:
                answers = (entry for entry in entries if entry["event"] == "query_answered" and entry["key"] == key)
                answer = next((HoldoutScore.model_validate(entry["score"]) for entry in answers), None)
                return OpenedQuery(related.opened.index(key) + 1, allowed, answer)
            number = len(related.opened)
            if number >= allowed:
                configuration = str(fields["configuration"])
                refused = HoldoutScore(outcome="used_up", configuration=configuration, query=number, queries=allowed)
                return OpenedQuery(number, allowed, refused)
            what = {"key": key, "commitment": kept.commitment} | fields
            self._append("query_opened", f"query {number + 1} of {allowed} by {fields['run_id']}", what)
            return OpenedQuery(number + 1, allowed, None)

    def answer(self, key: str, score: HoldoutScore) -> None:
        """Write down what a question was answered."""
        with self._held():
            self._append("query_answered", score.said(), {"key": key, "score": score.model_dump(mode="json")})

    @contextmanager
    def answering(self, key: str, wait_s: float) -> Iterator[None]:
        """Hold the lock under which one question is computed, so that two callers of one decision do it once."""
        path = self.folder / f".query-{key[:16]}.lock"
        with run_lock(path, run_id=None, wait_s=wait_s):
            yield

    @contextmanager
    def _held(self) -> Iterator[None]:
        with run_lock(self.folder / ".lock", run_id=None):
            self._log.mend(stamp(utc_now()))
            yield

    def _entries(self) -> list[Entry]:
        return [*self._log.verified()]

    def _append(self, event: str, message: str, fields: dict[str, JsonValue]) -> None:
        self._log.append(stamp(utc_now()), {"step": None, "event": event, "message": message} | fields)


@dataclass(frozen=True, slots=True)
class _Related:
    """What is known of all hold-outs that share a patient: keys of the questions in order, how many may be asked."""

    opened: list[str]
    queries: int | None


def _related(entries: Sequence[Entry], digests: Sequence[str], label_column: str) -> _Related:
    wanted = set(digests)
    kept = [
        one for one in _hold_outs(entries) if one.label_column == label_column and not wanted.isdisjoint(one.digests)
    ]
    commitments = {one.commitment for one in kept}
    opened = [
        str(entry["key"])
        for entry in entries
        if entry["event"] == "query_opened" and entry["commitment"] in commitments
    ]
    return _Related(opened, kept[0].queries if kept else None)


def _hold_outs(entries: Sequence[Entry]) -> Iterator[PutAside]:
    for entry in entries:
        if entry["event"] == "put_aside":
            yield PutAside(
                commitment=str(entry["commitment"]),
                salt=str(entry["salt"]),
                patients=_texts(entry["patients"]),
                digests=_texts(entry["digests"]),
                label_column=str(entry["label_column"]),
                queries=_number(entry["queries"]),
            )


def _texts(value: JsonValue) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise LedgerCorrupt(f"{LOG}: {value!r} is no list of names")
    return tuple(str(item) for item in value)


def _number(value: JsonValue) -> int:
    if not isinstance(value, int):
        raise LedgerCorrupt(f"{LOG}: {value!r} is no number of queries")
    return value
