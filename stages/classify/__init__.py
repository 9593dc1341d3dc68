"""Classification numerics: pure functions on arrays.

- `logistic_path`: penalised logistic regression over a path of penalties, on the compiled `kernel`.
- `path_in_sample`: a path fitted and measured on the same cells.
- `path_cross_validated`: the same by repeated stratified or grouped folds.
- `folds`, `metrics`, `standardise`, `threads`: what these two are made of.

Nothing is imported here, so that reading a metric does not load numba.
"""
