"""Patients by pseudonyms: the key of a run, the way back for a person, and ids that stand where an agent reads."""
