"""Prove that the gates see: spoil copies of a finished step, one fault at a time, and look which gate fires.

`catalogue` says which faults there are and which gate each belongs to; `faults/` makes them, one subject a file;
``python -P -m stagewright.gates.proving QUESTION.json ANSWER.json`` is the child that goes through them.
"""
