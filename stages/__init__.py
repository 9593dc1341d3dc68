"""What runs: the stage protocol and catalogue, the supervisor and the worker, and the stages with their numerics.

This room imports only `state`. Its catalogue is light; each stage's libraries load in the worker that runs it.
"""
