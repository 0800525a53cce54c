"""``qrag plan``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from printed_tables import row_of

from qrag_tasks import plugins
from qrag_tasks.cli import main

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["plan", *(str(argument) for argument in arguments)])


def write(path: Path, data: object = "mini", retrievers: str = "[bm25]") -> Path:
    path.write_text(
        f"""\
name: of-two
data: {data}
models:
  - {{name: one, pretrained: owner/one}}
precisions: [bf16, int8]
retrievers: {retrievers}
tasks: [lamp3u, lamp5u]
k: [0, 5]
limit: 30
margins: {{mae: 0.05}}
""",
        encoding="utf-8",
    )
    return path


def test_the_grid_is_printed(tmp_path: Path) -> None:
    done = run(write(tmp_path / "plan.yaml"))
    assert done.exit_code == 0, done.output
    for text in (
        "margins        mae 0.05",
        "samples        at most 30 a task",
        "Prompts are counted; all else is estimated before anything is loaded.\n",
        "Prompt tokens: characters / 4 (owner/one: not known before it is downloaded)\n",
        "Weights: owner/one: not known before it is downloaded\n",
    ):
        assert text in done.output
    assert row_of(done.output, "models") == ["one", "8"]
    assert row_of(done.output, "retrievers") == ["no documents", "4"]
    assert row_of(done.output, "k") == ["0", "4"]
    base, other, whole = (row_of(done.output, name) for name in ("bf16", "int8", "all"))
    assert base[:3] == ["not known", "4", "120"]
    assert other[:3] == ["not known", "4", "120"]
    assert whole[:3] == ["", "8", "240"]
    tokens = [int(row[3].replace(",", "")) for row in (base, other, whole)]
    assert tokens[0] == tokens[1] == tokens[2] / 2 > 10_000
    assert [row[4] for row in (base, whole)] == ["2,880", "5,760"]
    cells, prompts, mean = row_of(done.output, "lamp5u_rag_k5")
    assert (cells, prompts) == ("2", "30")
    assert 300 < int(mean) < 1500


def test_which_engine_runs_an_arm_and_what_is_known_of_it(tmp_path: Path, tiny_model: Path) -> None:
    path = write(tmp_path / "plan.yaml")
    served = {
        "engine": "server",
        "base_url": "http://localhost:8000/v1",
        "tokenizer": str(tiny_model),
        "max_length": 1024,
    }
    model = {"name": "one", "pretrained": str(tiny_model), "args_of": {"int8": served}}
    text = path.read_text().replace("{name: one, pretrained: owner/one}", json.dumps(model))
    path.write_text(text, encoding="utf-8")
    done = run(path)
    assert done.exit_code == 0, done.output
    base, other = (row_of(done.output, name) for name in ("bf16", "int8"))
    assert base[-1] == "transformers, layers"
    assert (other[0], other[-1]) == ("not known", "server, stated")
    assert "Weights: one/int8: engine 'server' loads no checkpoint here\n" in done.output
    arms = json.loads(run(path, "--json").output)["arms"]
    assert [arm["engine"] for arm in arms] == [
        {"name": "transformers", "evidence": "layers"},
        {"name": "server", "evidence": "stated"},
    ]
    assert arms[1]["arguments"] == {"precision": "int8", **served}
    assert arms[1]["weight_bytes"] is None


def test_the_weights_of_a_model_that_is_here(tmp_path: Path, tiny_model: Path) -> None:
    path = write(tmp_path / "plan.yaml")
    path.write_text(path.read_text().replace("owner/one", str(tiny_model)))
    done = run(path)
    assert done.exit_code == 0, done.output
    assert f"Weights: shapes of {tiny_model}\n" in done.output
    assert f"Prompt tokens: the tokenizer of {tiny_model} on " in done.output
    written = json.loads(run(path, "--json").output)
    base, other = (arm["weight_bytes"] for arm in written["arms"])
    assert row_of(done.output, "bf16")[0] == f"{base / 1e6:,.1f}"
    assert row_of(done.output, "int8")[0] == f"{other / 1e6:,.1f} (x{other / base:.2f})"


def test_on_a_terminal_prose_is_broken_between_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    lines = [line.rstrip() for line in run(write(tmp_path / "plan.yaml")).output.splitlines()]
    at = lines.index("Prompts are counted; all else is estimated before anything")
    assert lines[at + 1] == "is loaded."


def test_json_has_every_cell(tmp_path: Path) -> None:
    done = run(write(tmp_path / "plan.yaml"), "--json")
    written = json.loads(done.output)
    assert written["plan"]["name"] == "of-two"
    assert len(written["fingerprint"]) == 64
    assert [arm["name"] for arm in written["arms"]] == ["one/bf16", "one/int8"]
    assert written["arms"][1]["base"] == "bf16"
    assert written["arms"][0]["arguments"] == {"pretrained": "owner/one", "precision": "bf16"}
    assert [cell["folder"] for cell in written["cells"]][:2] == [
        "one/bf16/lamp3u_rag_k0",
        "one/bf16/bm25/lamp3u_rag_k5",
    ]
    for what, total in written["totals"].items():
        assert total == sum(cell[what] for cell in written["cells"])
    assert written["notes"] == []


def test_data_that_are_not_there(tmp_path: Path) -> None:
    done = run(write(tmp_path / "plan.yaml", data="./nowhere"))
    assert done.exit_code == 1
    assert (
        f"{tmp_path / 'plan.yaml'}:2: data: lamp3u: no data in {tmp_path / 'nowhere'}"
        in done.output
    )
    assert f"Note: lamp3u: no data in {tmp_path / 'nowhere'} (no such folder)." in done.output
    assert row_of(done.output, "all")[2:] == ["not known"] * 3


def test_mistakes(tmp_path: Path) -> None:
    path = write(tmp_path / "plan.yaml", retrievers="[bm52]")
    path.write_text(path.read_text() + "k: [7]\n")
    done = run(path)
    assert done.exit_code == 1
    assert f"Error: {path}:6: retrievers[0]: unknown retriever 'bm52'" in done.output
    assert f"\n{path}:11: k: it is there twice" in done.output
    assert f"\n{path}:11: k[0]: unknown k 7" in done.output
    assert "Traceback" not in done.output
    assert "there is no such file" in run(tmp_path / "nowhere.yaml").output


def test_a_plugin_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QRAG_BLOCK_PLUGINS", "qrag-dense")
    plugins.forget()
    path = write(tmp_path / "plan.yaml", retrievers="[dpr, bm25]")
    done = run(path)
    plugins.forget()
    assert done.exit_code == 1
    assert row_of(done.output, "models") == ["one", "12"]
    assert done.output.endswith(
        f"{path}:6: retrievers[0]: retriever 'dpr' is not installed: pip install "
        "./plugins/qrag-dense, in a clone of qrag-tasks\n"
    )


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_print(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    done = run(path)
    # Plans for a model and data of one's own, or for a plugin, cannot be whole here.
    missing = "there is no such folder" in done.output or "qrag-dense" in done.output
    assert done.exit_code == (1 if missing else 0), done.output
    assert "Traceback" not in done.output
    assert f"plan           {path.stem}" in done.output
    assert len(row_of(done.output, "all")) == 5
