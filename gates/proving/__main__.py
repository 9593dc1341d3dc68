"""The proving child: ``python -P -m stagewright.gates.proving QUESTION.json ANSWER.json``.

It reads a `ProvingQuestion`, spoils copies in the scratch folder that the question names, and writes a
`ProvingAnswer`. It exits with 0 when it could try, whatever it found, and with 2 when it could not.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from stagewright.gates.proving.protocol import ProvingAnswer, ProvingQuestion
from stagewright.state.lifeline import end_with_parent
from stagewright.state.snapshot import write_atomically

__all__ = ["main"]

USAGE = "usage: python -P -m stagewright.gates.proving QUESTION.json ANSWER.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Go through the faults and return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if len(given) != 2:  # noqa: PLR2004 - the two paths of the usage line
        sys.stderr.write(f"{USAGE}\n")
        return 2
    end_with_parent()
    started = time.monotonic()
    try:
        question = ProvingQuestion.model_validate_json(Path(given[0]).read_bytes())
        from stagewright.gates.proving.prove_steps import prove_steps  # noqa: PLC0415 - loads pandas

        trials = prove_steps(question)
        answer = ProvingAnswer(trials=trials, elapsed_s=time.monotonic() - started)
        write_atomically(Path(given[1]), answer.model_dump_json(indent=1) + "\n")
    except (OSError, ValidationError) as error:
        sys.stderr.write(f"the gates could not be proved: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
