"""How well the components of repeated fits agree, and which K that speaks for.

This package itself imports nothing heavy: take what you need from its modules.
"""
