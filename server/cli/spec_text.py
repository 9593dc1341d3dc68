"""Write a first goal spec from what a data file holds: every guess with its reason, for a person to correct."""

import json
import re

from stagewright.stages.cohort.records import FileFacts, Guess, LabelGuess, Suggestions

__all__ = ["FILL_IN", "spec_text"]

FILL_IN = "FILL-IN"
"""Stands where nothing could be guessed; planning refuses it, as no column has this name."""

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "none", "y", "n"})
MOST_GENES = 3000
SHOWN_LEAKS = 8


def spec_text(path: str, facts: FileFacts, guesses: Suggestions) -> str:
    """Return the text of a commented goal spec in YAML.

    Parameters
    ----------
    path
        The data file, as the spec names it.
    facts, guesses
        What the file holds and what its columns may mean.

    Returns
    -------
    A spec that can be planned as it is, unless a line in it is marked `FILL-IN`.
    """
    lines = [
        "# A first goal spec, guessed from the file. Check every line; a `# guess:` says why it is there.",
        f"# The file: {facts['n_obs']} cells, {facts['n_vars']} genes.",
        *(f"# ATTENTION: {_comment(warning)}" for warning in guesses["warnings"]),
        "",
        "# Write your own question here. It is sealed with the rest when the run is planned.",
        f"objective: {_text(_objective(guesses['label']))}",
        "",
        *_data_lines(path, guesses),
        "",
        *_study_lines(facts, guesses),
    ]
    return "\n".join(lines) + "\n"


def _objective(label: LabelGuess) -> str:
    if label["column"] is None:
        return "How well do low-dimensional representations separate the two classes within each patient?"
    return (
        f"How well do low-dimensional representations separate {label['positive']} from {label['negative']} cells "
        "within each patient?"
    )


def _data_lines(path: str, guesses: Suggestions) -> list[str]:
    label = guesses["label"]
    lines = ["data:", f"  path: {_text(path)}  # relative to this file", *_guessed("counts", guesses["counts"])]
    lines += _guessed("patient", guesses["patient"])
    if label["column"] is None:
        lines += [f"  label:  # {FILL_IN}: name the column to predict and two of its levels ({label['reason']})"]
        lines += [f"    {{column: {FILL_IN}, positive: {FILL_IN}-1, negative: {FILL_IN}-2}}"]
    else:
        lines += [f"  # guess: {_comment(label['reason'])}", *_others(label["alternatives"])]
        if label["other_levels"]:
            lines += [f"  # Cells of these other levels are left out: {_comment(', '.join(label['other_levels']))}"]
        parts = (("column", label["column"]), ("positive", label["positive"]), ("negative", label["negative"]))
        lines += [f"  label: {{{', '.join(f'{name}: {_text(value or FILL_IN)}' for name, value in parts)}}}"]
    lines += _timepoint_lines(guesses)
    lines += [
        "  # Leave cells out by any column, e.g.:",
        "  # filters: [{column: Tech, keep: [CITE]}, {column: doublet, drop: ['True']}]",
    ]
    return lines + _column_lines(guesses)


def _timepoint_lines(guesses: Suggestions) -> list[str]:
    timepoint, levels = guesses["timepoint"], guesses["timepoint_levels"]
    if timepoint["value"] is None or not levels:
        return [f"  # no time point: {_comment(timepoint['reason'])}", "  # timepoint: {column: ..., keep: [...]}"]
    kept = ", ".join(map(_text, levels))
    return [
        f"  # guess: {_comment(timepoint['reason'])}; keep only those that the question is about",
        f"  timepoint: {{column: {_text(timepoint['value'])}, keep: [{kept}]}}",
    ]


def _column_lines(guesses: Suggestions) -> list[str]:
    found = [(name, guess["value"]) for name, guess in _named_guesses(guesses) if guess["value"] is not None]
    lines = ["  # Further columns, carried into the results for people and gates. No column is ever a feature."]
    if found:
        lines += [f"  columns: {{{', '.join(f'{name}: {_text(str(value))}' for name, value in found)}}}"]
    else:
        lines += ["  # columns: {source: ..., cell_type: ...}"]
    leaks = guesses["leak_columns"]
    if leaks:
        lines += ["  # These tell the label in whole or in part; beware of filtering by them:"]
        lines += [f"  #   {_comment(leak['column'])}: {_comment(leak['reason'])}" for leak in leaks[:SHOWN_LEAKS]]
    return lines


def _named_guesses(guesses: Suggestions) -> list[tuple[str, Guess]]:
    return [
        ("source", guesses["source"]),
        ("technology", guesses["technology"]),
        ("batch", guesses["batch"]),
        ("cell_type", guesses["cell_type"]),
    ]


def _study_lines(facts: FileFacts, guesses: Suggestions) -> list[str]:
    genes = min(MOST_GENES, max(2, facts["n_vars"] // 2))
    ks = ", ".join(map(str, guesses["k"]["value"]))
    return [
        "stages: [plan0, plan1a, plan1b]  # sweep K and choose it; score without, then with cross-validation",
        "preprocess:",
        f"  - {{method: hvg, n_top_genes: {genes}}}",
        "  - {method: all_filtered, min_cells_fraction: 0.01}",
        "reduction:",
        "  methods: [pca, fa, nmf]",
        f"  k: [{ks}]  # guess: {_comment(guesses['k']['reason'])}",
        "  seeds: [1, 2, 3]",
        "classifier:",
        "  penalties: [l1]",
        "  alphas: {logspace: [-4, 5, 20]}",
        "  cv: {folds: 5, repeats: 5}",
        "",
        "# When the study has succeeded, and when to give up. Sealed too, so decide before you look.",
        "# stop:",
        "#   success: [{metric: plan1b.best.auc, at_least: 0.8}]",
        "#   failure: [{metric: plan1b.best.auc, below: 0.55}]",
        "budget: {runtime: 6h, memory: 16GiB, retries: 2}",
        "# approvals: [C]  # a person approves before the full run",
        "# privacy: pseudonymise  # patients by a keyed hash in results, logs and replies",
    ]


def _guessed(key: str, guess: Guess) -> list[str]:
    if guess["value"] is None:
        value = "X" if key == "counts" else FILL_IN
        return [f"  {key}: {value}  # {FILL_IN}: {_comment(guess['reason'])}"]
    return [
        f"  # guess: {_comment(guess['reason'])}",
        *_others(guess["alternatives"]),
        f"  {key}: {_text(guess['value'])}",
    ]


def _others(alternatives: list[str]) -> list[str]:
    return [f"  # or one of: {_comment(', '.join(alternatives))}"] if alternatives else []


def _text(value: str) -> str:
    """Return a text as YAML reads it back, quoted unless it is plainly a word."""
    plain = PLAIN.fullmatch(value) is not None and value.lower() not in YAML_WORDS
    return value if plain else json.dumps(value, ensure_ascii=not value.isprintable())


def _comment(text: str) -> str:
    """Return a text on one line: what stands in a data file may not end a comment and write the spec itself."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
