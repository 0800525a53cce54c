"""A grid on a Ray cluster of two nodes, one of which is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
pytest.importorskip("ray", reason="the ray extra is not installed")
import ray
from in_process_arms import InProcess

from qrag_tasks.errors import PlanError
from qrag_tasks.experiment.plan import Plan
from qrag_tasks.experiment.running.grid import Progress, run_plan
from qrag_tasks.experiment.running.launchers import Ray

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own: sockets and processes it leaves


@pytest.fixture
def cluster(ray_at_once: None) -> Iterator[Any]:
    """A head that runs nothing, and two nodes for one arm each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    yield made
    ray.shutdown()
    made.shutdown()


def scores_and_samples(root: Path) -> dict[str, bytes]:
    return {
        str(path.parent.relative_to(root)): path.read_bytes()
        for path in sorted((root / "cells").rglob("samples_*.jsonl"))
    }


def test_a_lost_node(cluster: Any, tiny_model: Path, tmp_path: Path) -> None:
    plan = Plan.model_validate(
        {
            "name": "tiny",
            "models": [
                {"name": "m", "pretrained": str(tiny_model), "args": {"max_batch_tokens": 2048}}
            ],
            "precisions": ["bf16", "int8"],
            "tasks": ["lamp3u", "lamp5u"],
            "k": [0, 1],
            "limit": 6,
        }
    )
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    lost: list[int] = []

    def lose_a_node(progress: Progress) -> None:
        begun = {cell.arm.name for cell, count in progress.answered.items() if count}
        if len(begun) == 2 and not lost:
            lost.append(len(progress.complete))
            cluster.remove_node(nodes[0], allow_graceful=False)

    root = tmp_path / "grid"
    found = run_plan(plan, root, launcher=Ray(cluster.address), tell=lose_a_node)
    assert lost
    assert lost[0] < 8
    assert not found.failed
    assert len(found.complete) == 8
    undisturbed = tmp_path / "undisturbed"
    assert not run_plan(plan, undisturbed, launcher=InProcess()).failed
    assert scores_and_samples(root) == scores_and_samples(undisturbed)


def test_no_cluster_at_the_address(tiny_model: Path, tmp_path: Path) -> None:
    plan = Plan.model_validate(
        {
            "name": "tiny",
            "models": [{"name": "m", "pretrained": str(tiny_model)}],
            "precisions": ["bf16"],
            "tasks": ["lamp3u"],
            "k": [0],
            "limit": 1,
        }
    )
    with pytest.raises(PlanError, match=r"--address 127.0.0.1:1: no Ray cluster"):
        run_plan(plan, tmp_path / "grid", launcher=Ray("127.0.0.1:1"))
