"""The variables that hold the linear algebra of a child process to one thread.

Stages run units side by side instead; a sum that is split over threads would round otherwise on another machine.
"""

__all__ = ["PINNED_THREADS"]

PINNED_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
