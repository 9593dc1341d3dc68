"""Children of the `stages` room: ``python -P -m stagewright.stages supervise | work | survey | suggest | ...``.

Each reads files or arguments and writes files: nothing here speaks on a standard stream that a client listens to.
"""

import argparse
import sys
from pathlib import Path

from stagewright.state.lifeline import end_with_parent


def main(arguments: list[str] | None = None) -> int:
    """Run one child and return its exit status."""
    parser = argparse.ArgumentParser(prog="stagewright.stages")
    children = parser.add_subparsers(dest="child", required=True)
    supervise = children.add_parser("supervise", help="see an attempt through to the ledger")
    supervise.add_argument("attempt", type=Path)
    work = children.add_parser("work", help="do the work of an attempt")
    work.add_argument("attempt", type=Path)
    survey = children.add_parser("survey", help="look into a data file without reading its matrix")
    survey.add_argument("request", type=Path)
    survey.add_argument("answer", type=Path)
    holdout = children.add_parser("holdout", help="score the sealed hold-out, as the lock-box allows")
    holdout.add_argument("request", type=Path)
    holdout.add_argument("answer", type=Path)
    suggest = children.add_parser("suggest", help="guess the data section of a goal spec from a file")
    suggest.add_argument("request", type=Path)
    suggest.add_argument("answer", type=Path)
    cohort = children.add_parser("cohort", help="write the built-in cohort")
    cohort.add_argument("path", type=Path)
    cohort.add_argument("--seed", type=int, default=0)
    executor = children.add_parser("executor", help="try the operator's executor out")
    executor.add_argument("request", type=Path)
    executor.add_argument("answer", type=Path)
    compare = children.add_parser("compare", help="say how much files differ that should be the same")
    compare.add_argument("request", type=Path)
    compare.add_argument("answer", type=Path)
    for name, what in (("ids", "look for ids of patients in files"), ("pseudonyms", "name the patients of a file")):
        child = children.add_parser(name, help=what)
        child.add_argument("request", type=Path)
        child.add_argument("answer", type=Path)
    warm = children.add_parser("warm", help="compile the numerical kernels")
    warm.add_argument("request", type=Path, nargs="?")
    warm.add_argument("answer", type=Path, nargs="?")
    asked = parser.parse_args(arguments)
    end_with_parent()
    return CHILDREN[asked.child](asked)


def _supervise(asked: argparse.Namespace) -> int:
    from stagewright.stages.supervisor import supervise
    from stagewright.state.attempts import read_request
    from stagewright.state.run_directory import RunDirectory

    supervise(RunDirectory(asked.attempt.parent.parent), read_request(asked.attempt))
    return 0


def _work(asked: argparse.Namespace) -> int:
    from stagewright.stages.worker import work

    return work(asked.attempt)


def _survey(asked: argparse.Namespace) -> int:
    from stagewright.stages.survey import answer_survey

    return answer_survey(asked.request, asked.answer)


def _holdout(asked: argparse.Namespace) -> int:
    from stagewright.stages.holdout.answer import answer_holdout

    return answer_holdout(asked.request, asked.answer)


def _suggest(asked: argparse.Namespace) -> int:
    from stagewright.stages.suggest import answer_suggest

    return answer_suggest(asked.request, asked.answer)


def _cohort(asked: argparse.Namespace) -> int:
    from stagewright.stages.cohort.generate import generate_cohort

    generate_cohort(asked.path, seed=asked.seed)
    return 0


def _compare(asked: argparse.Namespace) -> int:
    from stagewright.stages.file_differences import answer_compare

    return answer_compare(asked.request, asked.answer)


def _ids(asked: argparse.Namespace) -> int:
    from stagewright.stages.id_search import answer_id_search

    return answer_id_search(asked.request, asked.answer)


def _pseudonyms(asked: argparse.Namespace) -> int:
    from stagewright.stages.id_search import answer_pseudonyms

    return answer_pseudonyms(asked.request, asked.answer)


def _executor(asked: argparse.Namespace) -> int:
    from stagewright.stages.executors.try_out import try_out
    from stagewright.state.executor import ExecutorChoice

    choice = ExecutorChoice.model_validate_json(asked.request.read_bytes())
    asked.answer.write_text(try_out(choice).model_dump_json(), encoding="utf-8")
    return 0


def _warm(asked: argparse.Namespace) -> int:
    from stagewright.stages.warm_kernels import warm_kernels

    report = warm_kernels()
    if asked.answer is not None:
        asked.answer.write_text(report.model_dump_json(), encoding="utf-8")
    return 0


CHILDREN = {
    "supervise": _supervise,
    "work": _work,
    "survey": _survey,
    "holdout": _holdout,
    "suggest": _suggest,
    "cohort": _cohort,
    "executor": _executor,
    "compare": _compare,
    "ids": _ids,
    "pseudonyms": _pseudonyms,
    "warm": _warm,
}

if __name__ == "__main__":
    sys.exit(main())
