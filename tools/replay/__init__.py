"""Cassettes: what was called and answered in a run, made portable, and sent once more through a real server."""
