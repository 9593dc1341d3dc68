"""The run's unit cache: results of units by the digest of everything that they depend on.

A cache and nothing more: whatever is wrong with it costs time, and never a result.
"""

from stagewright.stages.unit_cache.cache import Found, UnitCache
from stagewright.stages.unit_cache.entry import FILES, Entry, EntryDamaged
from stagewright.stages.unit_cache.inputs import UnitInputs
from stagewright.stages.unit_cache.unit_work import UnitWork

__all__ = ["FILES", "Entry", "EntryDamaged", "Found", "UnitCache", "UnitInputs", "UnitWork"]
