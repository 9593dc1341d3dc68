"""Which genes a study looks at, and the scale on which it looks at them.

This package itself imports nothing heavy: take what you need from its modules.
"""
