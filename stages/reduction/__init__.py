"""Reductions of the gene space: principal components, factor analysis, non-negative factors.

This package itself imports nothing heavy: take the names from `catalogue` and the fits from `sweep`.
"""
