"""Stagewright: long single-cell studies run by an agent, one checked step at a time."""

__all__ = ["__version__"]

__version__ = "0.1.0"
