"""The faults, one subject a file. Each is a function that spoils one copy of a step, named in the catalogue."""
