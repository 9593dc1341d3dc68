"""Replay a cassette through a real server: in this process, over standard input and output, or over HTTP."""
