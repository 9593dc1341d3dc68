"""Import every module of the installed package: what the wheel left out shows as an error here."""

import importlib
import pkgutil
import sys

import stagewright

names = [module.name for module in pkgutil.walk_packages(stagewright.__path__, "stagewright.")]
for name in names:
    if not name.endswith(".__main__"):
        importlib.import_module(name)
rooms = {name.split(".")[1] for name in names}
if rooms != {"server", "tools", "stages", "gates", "state"}:
    sys.exit(f"the wheel holds the rooms {sorted(rooms)}")
sys.stdout.write(f"imported {len(names)} modules from {stagewright.__path__[0]}\n")
