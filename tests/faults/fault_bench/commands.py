"""The operator's policy of the fault suite: commands that end each in their own way, and say when they overlap.

Every command holds a lock beside the runs while it works and appends a line to ``ran.txt`` of the root: ``overlap``
where another attempt of the same root was at work at that moment.
"""

import json

__all__ = ["policy_text"]

BEGIN = (
    "import fcntl, json, os, pathlib, signal, sys, time; root = pathlib.Path(r'{run_dir}').parent.parent\n"
    "held = (root / 'at_work').open('a')\n"
    "try: fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB); said = '{step}'\n"
    "except BlockingIOError: said = 'overlap'\n"
    "with (root / 'ran.txt').open('a') as ran: ran.write(said + '\\n')\n"
)
WELL = "pathlib.Path('result.csv').write_text('a,b\\n1,2\\n'); pathlib.Path('metrics.json').write_text('{\"n\": 1}')\n"

COMMANDS = {
    "ok": WELL,
    "second": WELL,
    "crashes": "sys.exit('there is no such gene')\n",
    "flaky": (
        "first = not (root / 'tried').exists(); (root / 'tried').touch()\n"
        "if first: os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)\n" + WELL
    ),
    "late": "if not (root / 'tried').exists(): (root / 'tried').touch(); time.sleep(600)\n" + WELL,
    "sleeps": "time.sleep(600)\n",
    "waits": "while not (root.parent / 'go').exists(): time.sleep(0.02)\n" + WELL,
    "steady": "time.sleep(0.1)\n" + WELL,
}


def policy_text(data_root: str) -> str:
    """Return the policy as TOML; specs may name data under `data_root`."""
    tables = [
        f"[commands.{name}]\nargv = {json.dumps(['{python}', '-I', '-S', '-c', BEGIN + code])}\n"
        for name, code in COMMANDS.items()
    ]
    return "\n".join([f"data_roots = [{json.dumps(data_root)}]\n", *tables])
