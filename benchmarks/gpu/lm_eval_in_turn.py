"""Run lm_eval's command line, of which the model answers once it is its turn.

``python lm_eval_in_turn.py TURN ARGUMENTS...``: loads the model at once, makes the prompts, and
touches ``TURN.ready-RANK``; it answers as soon as there is a file ``TURN``. So models are loaded
side by side, and no time of answering has anything else in it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any


def main(turn: Path, arguments: list[str]) -> None:
    import lm_eval.evaluator
    import lm_eval.tasks
    from lm_eval.__main__ import cli_evaluate

    import qrag_tasks.harness.model  # noqa: F401 - where Python's start made nothing known
    from qrag_tasks.locations import task_yamls

    manager, evaluate = lm_eval.tasks.TaskManager, lm_eval.evaluator.evaluate
    index = manager.__init__

    def ours_only(self: Any, *args: Any, **kwargs: Any) -> None:
        index(self, *args, **{**kwargs, "include_defaults": False, "include_path": [task_yamls()]})

    def in_turn(lm: Any, *args: Any, **kwargs: Any) -> Any:
        answer = lm.generate_until

        def generate_until(requests: Any, *more: Any, **options: Any) -> Any:
            Path(f"{turn}.ready-{os.environ.get('RANK', 0)}").touch()
            while not turn.exists():
                time.sleep(0.02)
            return answer(requests, *more, **options)

        lm.generate_until = generate_until
        return evaluate(lm, *args, **{**kwargs, "bootstrap_iters": 0})

    manager.__init__ = ours_only
    lm_eval.evaluator.evaluate = in_turn
    sys.argv = ["lm_eval", *arguments]
    cli_evaluate()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
