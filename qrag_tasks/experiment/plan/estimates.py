"""What a plan comes to, before anything is loaded: prompts, tokens, bytes of weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qrag_tasks.errors import BudgetError, DataError, ModelError
from qrag_tasks.experiment.plan.cells import Arm, Cell
from qrag_tasks.experiment.plan.checkpoints import LocalCheckpoint, local_checkpoint, window_of
from qrag_tasks.experiment.plan.grid import Plan
from qrag_tasks.experiment.plan.prompt_lengths import Questions, ranked_here
from qrag_tasks.experiment.plan.token_rates import TokenRate, token_rate
from qrag_tasks.experiment.plan.weights import WeightBytes, weight_bytes
from qrag_tasks.prompting.prompt_source import chosen_data
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.catalog import task_named


@dataclass(frozen=True)
class CellEstimate:
    """What a cell comes to; ``None`` where it is not known.

    :ivar prompts: how many; exact.
    :ivar prompt_tokens: of all prompts, about.
    :ivar answer_tokens: of all answers, at most.
    """

    cell: Cell
    prompts: int | None
    prompt_tokens: int | None
    answer_tokens: int | None


@dataclass(frozen=True)
class Estimate:
    """What a plan comes to.

    :ivar cells: in running order.
    :ivar weights: name of an arm -> what its weights take.
    :ivar token_sources: what the prompt tokens were told from.
    :ivar notes: what is not known, or not here yet.
    """

    cells: tuple[CellEstimate, ...]
    weights: Mapping[str, WeightBytes]
    token_sources: tuple[str, ...]
    notes: tuple[str, ...]

    def total(self, what: str, arm: Arm | None = None) -> int | None:
        """Return the sum of ``prompts``, ``prompt_tokens`` or ``answer_tokens``.

        :param arm: whose cells to count; all of them by default.
        :returns: ``None`` where that of one cell is not known.
        """
        numbers = [getattr(row, what) for row in self.cells if arm is None or row.cell.arm == arm]
        return None if None in numbers else sum(numbers)


def estimate(plan: Plan) -> Estimate:
    """Return what a plan comes to. No model is loaded, nothing downloaded, torch not imported.

    Prompts are counted in the data. Their tokens are those of some questions' prompts, made as in
    the run; a retriever that is not built in is replaced by documents drawn from the profile. The
    characters of these prompts become tokens at the rate that the model's tokenizer has on a few
    of them.

    :raises QragError: when the data are there but broken, or lack what a retriever needs.
    """
    return _Estimating(plan).all()


class _Estimating:
    """Estimates the cells of a plan; what cells have in common is done once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._known: dict[tuple[Any, ...], Any] = {}
        self._notes: dict[str, None] = {}
        self._sources: dict[str, None] = {}

    def all(self) -> Estimate:
        pretrained = {model.name: model.pretrained for model in self._plan.models}
        weights = {arm.name: weight_bytes(arm, pretrained[arm.model]) for arm in self._plan.arms()}
        cells = tuple(self._cell(cell) for cell in self._plan.cells())
        self._note_drawn()
        return Estimate(cells, weights, tuple(self._sources), tuple(self._notes))

    def _once(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def _cell(self, cell: Cell) -> CellEstimate:
        questions: Questions | None = self._once(
            ("questions", cell.task), lambda: self._questions(cell)
        )
        if questions is None:
            return CellEstimate(cell, None, None, None)
        window: int | None = self._once(
            ("window", cell.arm.name), lambda: self._window_of(cell.arm)
        )
        rate = self._rate(cell, questions)
        mean: float | None = self._once(
            ("mean", cell.task, cell.k, cell.retriever, rate, window),
            lambda: self._mean(cell, questions, rate, window),
        )
        answers = 0 if self._plan.answer == "likelihood" else questions.answer_tokens
        return CellEstimate(
            cell,
            questions.prompts,
            None if mean is None else round(mean * questions.prompts),
            questions.prompts * answers,
        )

    def _questions(self, cell: Cell) -> Questions | None:
        settings = Settings.from_metadata(self._plan.metadata_of(cell), ())
        task = task_named(cell.task, settings.protocol.index)
        try:
            task.source.find(settings.data, settings.split)
        except DataError as error:
            first = str(error).splitlines()[0]
            self._notes[
                f"{first}. Its prompts and tokens are not known before; see qrag download --help."
            ] = None
            return None
        data = chosen_data(task, settings)
        return Questions.of(self._plan, cell, data, data.task)

    def _mean(
        self, cell: Cell, questions: Questions, rate: TokenRate, window: int | None
    ) -> float | None:
        try:
            return questions.mean_tokens(cell.k, cell.retriever, rate, window)
        except BudgetError as error:
            self._notes[f"{cell.arm.name}, {cell.task_name}, by estimated tokens: {error}"] = None
            return None

    # ------------------------------------------------------------------ models
    def _checkpoint(self, arm: Arm) -> LocalCheckpoint:
        """Return the first of tokenizer, arm's own checkpoint and model's that is here."""
        model = next(model for model in self._plan.models if model.name == arm.model)
        plain = {**arm.arguments, "pretrained": model.pretrained}
        own = local_checkpoint(arm.arguments, "tokenizer")
        return own if own.folder or not model.pretrained else local_checkpoint(plain)

    def _rate(self, cell: Cell, questions: Questions) -> TokenRate:
        plan = self._plan
        checkpoint: LocalCheckpoint = self._once(
            ("checkpoint", cell.arm.name), lambda: self._checkpoint(cell.arm)
        )
        rate: TokenRate = self._once(
            ("rate", checkpoint.folder, checkpoint.name, cell.task, cell.k),
            lambda: token_rate(
                checkpoint, questions.examples(cell.k), plan.chat_template, plan.system_instruction
            ),
        )
        self._sources[rate.source] = None
        return rate

    def _window_of(self, arm: Arm) -> int | None:
        try:
            own = local_checkpoint(arm.arguments)
            window = window_of(arm.arguments, own.config)
            base: LocalCheckpoint = self._once(
                ("checkpoint", arm.name), lambda: self._checkpoint(arm)
            )
            return window or window_of(arm.arguments, base.config)
        except ModelError as error:
            self._notes[str(error)] = None
            return None

    def _note_drawn(self) -> None:
        drawn = [spec for spec in self._plan.retrievers if not ranked_here(spec)]
        if drawn:
            self._notes[
                f"{', '.join(drawn)}: tokens of documents drawn from the profiles, as these "
                f"retrievers load a model to rank"
            ] = None
