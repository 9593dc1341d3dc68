"""The ledger: the record that decides what a run's state is, and the only way to change it.

The order of a commit is: artifacts sealed, then the detail log, then one line of the ledger flushed to the disk (this
is the commit), then RUN_STATE.json. Each line carries the heads of the other logs, so that cutting the tail of any of
them shows. A transition holds the run's lock, folds the whole verified ledger, and refuses an event that the law of the
machine does not allow before it writes a byte.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime

from pydantic import JsonValue, ValidationError

from stagewright.state.chain import GENESIS, ChainedLog, Entry, Head
from stagewright.state.clock import stamp, utc_now
from stagewright.state.events import Event, TornTailMoved, as_recorded, parse_event
from stagewright.state.lock import WAIT_S, run_lock
from stagewright.state.refusals import LedgerCorrupt
from stagewright.state.run_directory import LOG_NAMES, RunDirectory
from stagewright.state.run_state import RunState
from stagewright.state.snapshot import read_snapshot, snapshot_head, write_snapshot
from stagewright.state.transitions import advance

__all__ = ["Ledger", "Transition"]

FOLDED_BYTES = 1 << 20
"""Ledgers up to this size, some hundreds of entries, are always folded: anybody can edit a snapshot."""

DETAIL_LOGS = tuple(name for name in LOG_NAMES if name != "agent_run")


class Ledger:
    """The four logs of a run and the state that they add up to."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self._logs = {name: ChainedLog(run.log(name), head_file=True) for name in LOG_NAMES}
        self.log = self._logs["agent_run"]
        self._folded: tuple[Head, RunState] | None = None

    def detail(self, name: str) -> ChainedLog:
        """Return one of the logs: validation, decision or tool_calls, or the ledger itself."""
        return self._logs[name]

    def read(self) -> RunState:
        """Return the present state by folding the ledger; of a very long one, from RUN_STATE.json at the same head.

        A fold is remembered until the ledger grows, so that whoever polls pays for it once.

        Raises
        ------
        LedgerCorrupt
            When the ledger has to be folded and does not hold together.
        """
        head = self.log.head()
        if self._folded is not None and self._folded[0] == head:
            return self._folded[1]
        state = read_snapshot(self.run.snapshot, head) if self.log.size() > FOLDED_BYTES else None
        if state is None:
            state = self.fold()
        self._folded = (head, state)
        return state

    def fold(self) -> RunState:
        """Return the state by verifying and folding the whole ledger.

        Raises
        ------
        LedgerCorrupt
            When the chain is broken, an entry is no event, an event is impossible, or a log was cut below its anchor.
        """
        state: RunState | None = None
        anchored: Entry = {}
        for entry in self.log.verified():
            event = _event(entry)
            state = advance(state, event)
            if not isinstance(event, TornTailMoved):  # written by the log itself, which knows of no other log
                anchored = entry
        if state is None:
            raise LedgerCorrupt(f"{self.log.path.name} is empty: a run begins with run_planned")
        self._check_anchors(anchored)
        return state

    @contextmanager
    def transition(self, *, wait_s: float = WAIT_S) -> Iterator["Transition"]:
        """Hold the run's lock and give the present state, with the means to commit to it.

        What a crash left behind is mended first: a write that was cut short is moved aside, a snapshot that lags is
        written again.

        Raises
        ------
        Refusal
            `run_locked` when another process holds the lock for longer than `wait_s`.
        LedgerCorrupt
            When the record does not hold together; nothing is written to such a run.
        """
        with run_lock(self.run.lock, run_id=self.run.run_id, wait_s=wait_s):
            at = utc_now()
            for log in self._logs.values():
                log.mend(stamp(at))
            state = self.fold()
            self._mend_snapshot(state)
            yield Transition(self, state, at)

    def _mend_snapshot(self, state: RunState) -> None:
        """Write RUN_STATE.json again where whoever made the last entry died before it could.

        It is written after the entry that it names, so one that names what the ledger does not have is the only witness
        of a ledger that was cut: it is not written over.
        """
        head, last = self.log.head(), self.log.last()
        if last is None or read_snapshot(self.run.snapshot, head) is not None:
            return
        named = snapshot_head(self.run.snapshot)
        if named is not None and named != head and not self._has(named):
            raise LedgerCorrupt(
                f"{self.run.snapshot.name} names entry {named.seq} of the ledger, which ends at entry {head.seq} and "
                "does not have it: the ledger was cut or written anew, or the snapshot was changed",
            )
        with suppress(OSError):
            write_snapshot(self.run.snapshot, state, head, str(last["at"]))

    def _has(self, head: Head) -> bool:
        return any(entry.get("seq") == head.seq and entry.get("hash") == head.hash for entry in self.log.entries())

    def first(self, event: Event, at: datetime) -> RunState:
        """Write the first entry of a run that nobody else knows yet."""
        return Transition(self, None, at).commit(event)

    def anchored(self, name: str) -> int:
        """Return the number of the last entry of a log beside the ledger that an event has anchored."""
        for entry in reversed([*self.log.entries()]):
            anchors = entry.get("anchors")
            anchor = anchors.get(name) if isinstance(anchors, dict) else None
            if isinstance(anchor, dict):
                return _integer(anchor.get("seq"))
        return 0

    def heads(self) -> dict[str, Head]:
        """Return the heads of the logs beside the ledger."""
        return {name: self.detail(name).head() for name in DETAIL_LOGS}

    def _check_anchors(self, entry: Entry) -> None:
        anchors = entry.get("anchors")
        if not isinstance(anchors, dict):
            raise LedgerCorrupt(f"{self.log.path.name}: entry {entry.get('seq')} has no anchors")
        for name, head in self.heads().items():
            anchor = anchors.get(name)
            if not isinstance(anchor, dict) or not isinstance(anchor.get("seq"), int):
                raise LedgerCorrupt(f"{self.log.path.name}: entry {entry.get('seq')} does not anchor {name}.log")
            seq, digest = anchor["seq"], anchor.get("hash")
            cut = head.seq < seq or (head.seq == seq and head.hash != digest)  # type: ignore[operator]  # an int, above
            if cut or (seq == 0 and digest != GENESIS):
                raise LedgerCorrupt(
                    f"{name}.log ends at entry {head.seq}, the ledger anchors its entry {seq}: it was cut or changed",
                )


class Transition:
    """One act on a run, under its lock: the state before it, and the commits that the act makes.

    Attributes
    ----------
    state
        The state as of the last commit.
    at
        The one time of the act.
    """

    def __init__(self, ledger: Ledger, state: RunState | None, at: datetime) -> None:
        self._ledger = ledger
        self._state = state
        self.at = at

    @property
    def run(self) -> RunDirectory:
        """The run directory."""
        return self._ledger.run

    @property
    def state(self) -> RunState:
        """The state as of the last commit."""
        if self._state is None:
            raise LedgerCorrupt("the run has no first entry yet")
        return self._state

    def detail(self, log: str, fields: Mapping[str, JsonValue]) -> Entry:
        """Append to a log beside the ledger; the next commit anchors it."""
        return self._ledger.detail(log).append(stamp(self.at), fields)

    def detail_once(self, log: str, fields: Mapping[str, JsonValue]) -> Entry:
        """Append to a log beside the ledger, unless the same act wrote it there and died before its commit."""
        last = self._ledger.detail(log).last()
        same = last is not None and all(last.get(key) == value for key, value in fields.items())
        if last is not None and same and last["seq"] != self._ledger.anchored(log):
            return last
        return self.detail(log, fields)

    def commit(self, event: Event) -> RunState:
        """Append an event to the ledger and return the state after it.

        Raises
        ------
        ImpossibleTransition
            When the law of the machine does not allow the event now; nothing is written then.
        OSError
            When the disk does not take the entry; nothing is acknowledged then.
        ValueError
            When the event would not read back from the ledger as it is; nothing is written then.
        """
        recorded = as_recorded(event)
        after = advance(self._state, recorded)
        anchors: dict[str, JsonValue] = {name: head.as_json() for name, head in self._ledger.heads().items()}
        fields = recorded.model_dump(mode="json", exclude_none=True) | {"step": event.step, "anchors": anchors}
        entry = self._ledger.log.append(stamp(self.at), fields)
        self._state = after
        head = Head(seq=_integer(entry["seq"]), hash=str(entry["hash"]))
        with suppress(OSError):  # the event is acknowledged; a snapshot that lags behind is rebuilt from the ledger
            write_snapshot(self._ledger.run.snapshot, after, head, stamp(self.at))
        return after


def _integer(value: JsonValue) -> int:
    if not isinstance(value, int):
        raise LedgerCorrupt(f"an entry has seq {value!r}")
    return value


def _event(entry: Entry) -> Event:
    try:
        return parse_event(entry)
    except ValidationError as error:
        raise LedgerCorrupt(f"entry {entry.get('seq')} of the ledger is no event of this version: {error}") from error
