"""The error handlers, by the name that their proposals carry.

Each looks at every failure and yields nothing where it knows nothing better. Their order decides between proposals that
change equally much.
"""

from collections.abc import Mapping
from types import MappingProxyType

from stagewright.stages.handlers.fewer_cells import fewer_cells
from stagewright.stages.handlers.fewer_genes import fewer_genes
from stagewright.stages.handlers.fewer_workers import fewer_workers
from stagewright.stages.handlers.free_space import free_space
from stagewright.stages.handlers.handler import Handler
from stagewright.stages.handlers.install_package import install_package
from stagewright.stages.handlers.leave_out_k import leave_out_k
from stagewright.stages.handlers.leave_out_method import leave_out_method
from stagewright.stages.handlers.leave_out_preprocess import leave_out_preprocess
from stagewright.stages.handlers.mend_cluster import mend_cluster
from stagewright.stages.handlers.mend_command import mend_command
from stagewright.stages.handlers.mend_data import mend_data
from stagewright.stages.handlers.mend_permission import mend_permission
from stagewright.stages.handlers.more_memory import more_memory
from stagewright.stages.handlers.more_time import more_time
from stagewright.stages.handlers.print_less import print_less
from stagewright.stages.handlers.smaller_sweep import smaller_sweep
from stagewright.stages.handlers.try_again import try_again

__all__ = ["HANDLERS"]

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "try_again": try_again,
        "free_space": free_space,
        "mend_permission": mend_permission,
        "install_package": install_package,
        "mend_cluster": mend_cluster,
        "mend_data": mend_data,
        "mend_command": mend_command,
        "print_less": print_less,
        "fewer_workers": fewer_workers,
        "more_memory": more_memory,
        "more_time": more_time,
        "leave_out_k": leave_out_k,
        "smaller_sweep": smaller_sweep,
        "fewer_genes": fewer_genes,
        "fewer_cells": fewer_cells,
        "leave_out_preprocess": leave_out_preprocess,
        "leave_out_method": leave_out_method,
    },
)
