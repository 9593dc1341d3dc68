"""Execute a recorded run once more, by its sealed spec and its recorded decisions, and say what comes out differently.

- `record` reads from the ledger what was done, in its order.
- `fresh_root` makes a place of its own for the second run, with the same data, gene lists and hold-out.
- `follow` makes the same calls there, through the door that every caller comes through.
- `compare_step` holds what the two runs sealed and judged against each other, `surroundings` what they ran on.
"""
