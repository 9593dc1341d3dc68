"""Whether ids of patients stand where an agent reads, in a run that was to name patients by pseudonyms."""

from collections.abc import Iterator

from stagewright.state.artifacts import OUTCOME
from stagewright.state.attempts import CONTEXT, FAILURE, TRACEBACK, UNITS, WORKER_LOG
from stagewright.state.id_search import IdFound, IdSearch, IdsFound, PseudonymsOf
from stagewright.state.layout import survey_file
from stagewright.state.ledger import Ledger
from stagewright.state.records import Record
from stagewright.state.refusals import LedgerCorrupt, Refusal
from stagewright.state.run_directory import LOG_NAMES, RunDirectory
from stagewright.state.run_state import RunState
from stagewright.state.sealed_spec import declared_spec
from stagewright.tools.children import ChildFailed, ask_child
from stagewright.tools.privacy.run_key import key_of_run
from stagewright.tools.sealed_data import locate_data
from stagewright.tools.workspace import Workspace

__all__ = ["PrivacyNote", "privacy_note", "pseudonyms_question"]

TIMEOUT_S = 900.0
OF_ATTEMPT = (WORKER_LOG, TRACEBACK, CONTEXT, OUTCOME, UNITS, FAILURE)
SHOWN = 3


class PrivacyNote(Record):
    """What was found in the text of a run.

    Attributes
    ----------
    fault
        Why it could not be looked into; None when it could.
    n_short
        Patients whose ids are so short that they were looked for only where a patient is meant.
    n_lines
        Lines that name a patient by its id; `found` has the first of them, by pseudonym.
    """

    run_id: str
    fault: str | None = None
    n_patients: int = 0
    n_short: int = 0
    n_files: int = 0
    n_lines: int = 0
    found: tuple[IdFound, ...] = ()

    @property
    def alarming(self) -> bool:
        """Whether an id stands where an agent reads."""
        return self.n_lines > 0

    def said(self) -> str:
        """Return the note in a line, without any id.

        >>> PrivacyNote(run_id="r", n_patients=9, n_short=2, n_files=20).said()
        'privacy: no id of the 9 patients in 20 files of text (2 ids are short: looked for where a patient is named)'
        """
        if self.fault is not None:
            return f"privacy: could not be checked: {self.fault}"
        if not self.n_lines:
            short = f"{self.n_short} ids are" if self.n_short != 1 else "1 id is"
            where = f" ({short} short: looked for where a patient is named)" if self.n_short else ""
            return f"privacy: no id of the {self.n_patients} patients in {self.n_files} files of text{where}"
        places = [f"{item.file} line {item.line} ({', '.join(item.donors[:SHOWN])})" for item in self.found[:SHOWN]]
        more = f", and {self.n_lines - len(places)} more lines" if self.n_lines > len(places) else ""
        return f"privacy: patients are named by their ids in the data: {'; '.join(places)}{more}"


def privacy_note(workspace: Workspace, run: RunDirectory) -> PrivacyNote | None:
    """Return what was found; None of a run that names patients by their ids, or whose ledger does not hold.

    Looked into is what the tools' replies and logs hold: the four logs, with every recorded reply, the plan, the
    snapshot, and of each attempt what it printed, its failure, its units and its outcome. Not artifacts.
    """
    try:
        state = Ledger(run).read()
    except (LedgerCorrupt, OSError):
        return None  # `verify` names the line
    if state.pseudonym_key_id is None:
        return None
    try:
        question = IdSearch(of=pseudonyms_question(workspace, run, state), files=dict(_texts(run)))
        for item in ask_child("stagewright.stages", "ids", question, IdsFound, TIMEOUT_S):
            if isinstance(item, IdsFound):
                return _note(run, item)
    except (Refusal, LedgerCorrupt, ChildFailed) as error:
        fault = error.message if isinstance(error, Refusal) else str(error)
        return PrivacyNote(run_id=run.run_id, fault=fault)
    raise RuntimeError("a child answers or fails")


def pseudonyms_question(workspace: Workspace, run: RunDirectory, state: RunState) -> PseudonymsOf:
    """Return what the child needs to name the patients of a run.

    Raises
    ------
    Refusal
        `invalid_data` or `unavailable` when the data or the key are gone.
    """
    key = key_of_run(workspace, run, state)
    if key is None:
        raise Refusal(
            "not_allowed_now",
            f"{run.run_id} names patients by their ids: its spec does not say privacy: pseudonymise.",
            run_id=run.run_id,
        )
    spec = declared_spec(run)
    return PseudonymsOf(data=locate_data(workspace, run, state, spec), scope=spec.data, key=key)


def _note(run: RunDirectory, found: IdsFound) -> PrivacyNote:
    return PrivacyNote(
        run_id=run.run_id,
        fault=found.fault,
        n_patients=found.n_ids,
        n_short=found.n_short,
        n_files=found.n_files,
        n_lines=found.n_lines,
        found=found.found,
    )


def _texts(run: RunDirectory) -> Iterator[tuple[str, str]]:
    """Yield the files, by their names in the run directory: text that was written, not what is in arrays and tables."""
    paths = [*(run.log(name) for name in LOG_NAMES), run.plan, run.snapshot, run.manifest]
    paths.append(run.path / survey_file())
    paths += [path for name in OF_ATTEMPT for path in sorted(run.path.glob(f"attempts/*/{name}"))]
    for path in paths:
        if path.is_file():
            yield path.relative_to(run.path).as_posix(), str(path)
