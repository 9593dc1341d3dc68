"""The lock-box' process: count a question, compute its score, write it down, and only then say it."""

import traceback
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from stagewright.stages.classify.patient_interval import patient_interval
from stagewright.stages.cohort.unreadable import CohortMismatch, CohortUnreadable
from stagewright.stages.gene_unit import sealed_gene_sets
from stagewright.stages.holdout.best_configuration import ConfigurationLost, best_configuration
from stagewright.stages.holdout.score import Configuration, HeldOutAucs, score_patients
from stagewright.stages.preprocess.normalise import CountsUnusable
from stagewright.state.canonical import digest_json, finite
from stagewright.state.holdout import HoldoutScore, kept_patients
from stagewright.state.holdout_query import HoldoutAnswer, HoldoutQuestion
from stagewright.state.lockbox import Lockbox, OpenedQuery, PutAside
from stagewright.state.own_limits import limit_myself
from stagewright.state.refusals import LedgerCorrupt, Refusal
from stagewright.state.snapshot import write_atomically

__all__ = ["answer_holdout", "ask"]

FAILED = "failed.txt"


def answer_holdout(request: Path, answer: Path) -> int:
    """Answer the question in one file with another; return the exit status, 0."""
    asked = HoldoutQuestion.model_validate_json(request.read_bytes())
    limit_myself(asked.request.limits.memory_bytes)
    try:
        answered = ask(asked)
    except Exception as error:  # noqa: BLE001 - the rim: what it says may name a patient, so it stays in the lock-box
        (Path(asked.lockbox) / FAILED).write_text(traceback.format_exc(), encoding="utf-8")
        answered = HoldoutAnswer(fault=f"{type(error).__name__}; {Path(asked.lockbox) / FAILED} has the rest of it")
    write_atomically(answer, answered.model_dump_json() + "\n")
    return 0


def ask(asked: HoldoutQuestion) -> HoldoutAnswer:
    """Return the score of the hold-out, or what keeps the lock-box from giving one now.

    The question is written down, and with that counted, before anything is fitted; the score is written down before it
    is returned. Whoever asks the same again gets what was written, or, if its computation was ended before that, has it
    computed under the same count: the same configuration has the same score, so nothing more is learnt by that.
    """
    box = Lockbox(Path(asked.lockbox))
    try:
        kept = box.find(asked.seal.commitment)
        if kept is None:
            return HoldoutAnswer(
                fault=f"the lock-box in {asked.lockbox} does not hold the patients of this run's commitment "
                f"{asked.seal.commitment[:12]}...; the operator's policy names another folder, or it was removed",
            )
        best = best_configuration(Path(asked.run), asked.scored, asked.artifacts, asked.request.study)
        key, fields = _question_key(asked, best)
        with box.answering(key, asked.request.limits.runtime_s):
            opened = box.open_query(kept, key, fields, asked.seal.queries)
            if opened.answer is not None:
                return HoldoutAnswer(score=opened.answer)
            score = _scored(asked, kept, best, opened)
            box.answer(key, score)
            return HoldoutAnswer(score=score)
    except (CountsUnusable, CohortMismatch):  # their texts name cells, or patients
        return HoldoutAnswer(fault="some values in the file of the patients put aside cannot be used as they are")
    except (Refusal, LedgerCorrupt, ConfigurationLost, CohortUnreadable) as error:
        return HoldoutAnswer(fault=str(error) if not isinstance(error, Refusal) else error.message)


def _question_key(asked: HoldoutQuestion, best: Configuration) -> tuple[str, dict[str, JsonValue]]:
    """Return what tells this question from another, and what the lock-box writes down of it."""
    fields: dict[str, JsonValue] = {"run_id": asked.request.run_id, "configuration": best.name}
    study = asked.request.study.model_dump(mode="json", exclude={"workers"})
    key = digest_json(fields | {"commitment": asked.seal.commitment, "data": asked.request.data.sha256, "study": study})
    return key, fields


def _scored(asked: HoldoutQuestion, kept: PutAside, best: Configuration, opened: OpenedQuery) -> HoldoutScore:
    gene_sets = sealed_gene_sets(Path(asked.run), asked.request.data, best.preprocess)
    found = score_patients(asked.request, kept_patients(asked.scope, kept.patients), best, gene_sets)
    return _summed_up(found, best, opened)


def _summed_up(found: HeldOutAucs, best: Configuration, opened: OpenedQuery) -> HoldoutScore:
    if not found.auc.size:
        raise ValueError("no patient of the hold-out has cells of both classes in this data file")
    low, high = patient_interval(found.auc)
    return HoldoutScore(
        outcome="scored",
        auc=float(np.median(found.auc)),
        auc_low=finite(float(low)),
        auc_high=finite(float(high)),
        n_patients=int(found.auc.size),
        n_cells=found.n_cells,
        configuration=best.name,
        query=opened.number,
        queries=opened.queries,
    )
