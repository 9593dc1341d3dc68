"""Prove the gates and `verify` on copies of a run that was judged before: which steps, which faults, which outcome."""
