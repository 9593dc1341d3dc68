"""Arms a process under test: Python runs this file at its start where this folder is on PYTHONPATH.

Children of the product are started with ``-P``, which honours PYTHONPATH, and inherit the environment, so the whole
tree of processes is armed by one variable. Without it nothing is changed and nothing is imported.
"""

import os

if "FAULT_PLAN" in os.environ:
    from fault_arming import arm_process

    arm_process(os.environ["FAULT_PLAN"])
