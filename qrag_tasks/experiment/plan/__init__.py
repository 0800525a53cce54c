"""The plan of a grid: what is to be run, checked before anything is loaded."""

from qrag_tasks.experiment.plan.cells import Arm, Cell
from qrag_tasks.experiment.plan.grid import Plan
from qrag_tasks.experiment.plan.planned_model import Model
from qrag_tasks.experiment.plan.reading import check_plan, read_plan

__all__ = ["Arm", "Cell", "Model", "Plan", "check_plan", "read_plan"]
