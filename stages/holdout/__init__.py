"""The sealed hold-out: who is put aside at planning, and what the lock-box computes when it is asked."""
