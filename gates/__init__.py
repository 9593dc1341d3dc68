"""What judges: the gate protocol and catalogue, and one subject to a file.

This room imports only `state`: a stage cannot grade itself, and a gate cannot ask a stage for help.
"""
