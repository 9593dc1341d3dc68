"""Import every module of the installed package: what the wheel left out shows as an error here."""

import importlib
import pkgutil
import sys

import stagewright

names = [module.name for module in pkgutil.walk_packages(stagewright.__path__, "stagewright.")]
without = []
for name in names:
    if name.endswith((".__main__", ".pytest_plugin")):  # what is run, and what pytest loads where there is pytest
        continue
    try:
        importlib.import_module(name)
    except ImportError as error:
        if "pip install 'stagewright[" not in str(error):
            raise
        without.append(name)  # it belongs to an extra, which it names
rooms = {name.split(".")[1] for name in names}
if rooms != {"server", "tools", "stages", "gates", "state"}:
    sys.exit(f"the wheel holds the rooms {sorted(rooms)}")
extras = f", and {len(without)} that say which extra they need" if without else ""
sys.stdout.write(f"imported {len(names) - len(without)} modules from {stagewright.__path__[0]}{extras}\n")
