"""A study's data before any stage runs: the built-in cohort, and what a file says about itself.

- `generate.generate_cohort` writes the seeded, simulated cohort of the demo and the tests.
- `inspect_h5ad.inspect_h5ad` says what a file holds, reading no matrix.
- `tabulate.tabulate` counts the cells of each patient and label after the cohort's filters, from obs alone.
- `select_cells.select_cells` is the rule by which both that and the stages choose a study's cells.
- `suggest.suggest` guesses the data section of a goal spec and says why.

The shapes of their answers are in `records`, which loads nothing, so that a light process can read them back.
"""
