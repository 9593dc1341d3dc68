"""What a run is: its goal spec, its directory, its ledger, and the state that the ledger adds up to.

This room imports no other room, no `mcp` and no numerical library.
"""
