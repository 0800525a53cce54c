"""What commands print in tables: no cell is cut, however narrow the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from printed_tables import rows_of
from run_files import QUANTIZED, rating, write_run

from qrag_tasks.cli import main
from qrag_tasks.cli.tables import Table, print_tables
from qrag_tasks.experiment.comparison.compare import compare_runs
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.tables import texts
from qrag_tasks.logs.runs import read_runs

GOLDS = [1 + i % 5 for i in range(40)]
DENSE = "dense:model=~/models/all-MiniLM-L6-v2"


def printed(width: int, *arguments: object) -> str:
    done = CliRunner().invoke(main, [*map(str, arguments)], env={"COLUMNS": str(width)})
    assert done.exit_code == 0, done.output
    assert "…" not in done.stdout
    return done.stdout


def write_arm(folder: Path, wrong: int, orders: tuple[str, ...], **arguments: object) -> Path:
    """An arm over k = 0, 1, 10 by two retrievers."""
    for retriever in ("bm25", DENSE):
        for k in (0, 1, 10):
            if k == 0 and retriever == DENSE:
                continue
            for order in orders if k > 1 else orders[:1]:
                rows = [
                    rating(
                        i,
                        f"{retriever} {k} {i}",
                        str((gold - 1 or 2) if i < wrong + k else gold),
                        gold,
                        kept=[f"d{place}" for place in range(k)],
                    )
                    for i, gold in enumerate(GOLDS)
                ]
                write_run(
                    folder / f"{retriever[:4]}-{k}-{order}",
                    rows,
                    task=f"lamp3u_rag_k{k}",
                    facts={"retriever": retriever, "order": order},
                    model_args=arguments,
                )
    return folder


@pytest.fixture
def arms(tmp_path: Path, request: pytest.FixtureRequest) -> list[Path]:
    orders = getattr(request, "param", ("best-first",))
    return [
        write_arm(tmp_path / "fp16", 2, orders, dtype="float16"),
        write_arm(tmp_path / "int8", 2, orders, load_in_8bit=True),
        write_arm(tmp_path / "int4", 9, orders, load_in_4bit=True),
    ]


@pytest.mark.parametrize("width", [80, 120, 160])
@pytest.mark.parametrize("arms", [("best-first",), ("best-first", "reversed")], indirect=True)
def test_compare_shows_every_verdict_difference_and_interval(arms: list[Path], width: int) -> None:
    comparison = compare_runs(
        read_runs(arms[0]), [read_runs(arm) for arm in arms[1:]], Options(resamples=199)
    )
    output = printed(width, "compare", *arms, "--resamples", 199)
    assert all(len(line.rstrip()) <= width for line in output.splitlines())
    rows = rows_of(output)
    records = texts.records(comparison)
    pooled = len(comparison.pooled)
    assert pooled == 2 * 3, "for each arm: of all cells, and of either retriever"
    assert len(rows) == len(records) + len(texts.trend_records(comparison)) + pooled
    for record in records:
        figures = [record[name] for name in ("Verdict", "Difference", "95 % interval")]
        scores = [record["Base score"], record["Other score"]]
        assert any([*figures, *scores] == row[i : i + 5] for row in rows for i in range(5)), record
    for retriever in ("bm25", DENSE):
        assert retriever in output
    # What there is room for is there.
    assert width == 120 or ("answers" in output) == (width == 160)


def test_compare_ends_with_the_answer(arms: list[Path]) -> None:
    output = printed(80, "compare", *arms, "--resamples", 199)
    *tables, pooled, answer = output.split("\n\n")
    while not tables[-1].startswith("lamp3u"):
        pooled = tables.pop()
    assert pooled.startswith("All cells of an arm as one: model-1b against fp16")
    assert " ".join(answer.split()).startswith("Of 10 comparisons of int4-nf4, int8 with fp16 on ")
    (headings,) = [line.split() for line in tables[-1].splitlines() if "Slope" in line]
    assert headings.index("Verdict") < headings.index("Slope")
    assert "slope of the difference per document" in " ".join(tables[-1].split())
    assert "accuracy" not in output
    # The sentences are about the headline metrics.
    assert "Of 10" not in printed(80, "compare", *arms, "--resamples", 199, "--metric", "accuracy")


def test_tasks_without_k_share_a_table(tmp_path: Path) -> None:
    arms = []
    for name, wrong, arguments in (("one", 2, {}), ("two", 9, QUANTIZED)):
        answers = [(gold - 1 or 2) if i < wrong else gold for i, gold in enumerate(GOLDS)]
        rows = [
            rating(i, str(i), str(answer), gold)
            for i, (answer, gold) in enumerate(zip(answers, GOLDS, strict=True))
        ]
        arms.append(tmp_path / name)
        for task in ("quiz", "riddles"):
            write_run(arms[-1] / task, rows, task=task, model_args=arguments)
    output = printed(80, "compare", *arms, "--resamples", 199)
    assert output.startswith("mae ↓: model-1b int4-nf4 against bf16 (n = 40)\n")
    assert [row[0] for row in rows_of(output)] == ["quiz", "riddles", "int4-nf4"]
    # No k, no trend.
    assert "documents" not in output
    # Where there is no room for the column, each has its own.
    assert printed(52, "compare", *arms, "--resamples", 199).startswith("quiz, mae ↓: model-1b ")


@pytest.mark.parametrize("width", range(24, 44))
def test_titles_keep_figures_in_one_line(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        print_tables(
            Table(
                "a",
                title="lamp3u: bf16 against fp16 (n = 400)".replace(
                    " = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"
                ),
            )
        )
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "n = 400)" in line]
    assert max(map(len, lines)) <= width


def test_compare_wide_shows_every_column(arms: list[Path]) -> None:
    output = printed(80, "compare", *arms, "--resamples", 199, "--wide")
    (headings, *_) = output.splitlines()
    absent = ("Order", "Prompt tokens", "McNemar p", "Noise")
    for heading in texts.headings(0.95):
        assert (heading in headings) == (heading not in absent)
    # Cells, trends of the headline metric, and all cells as one.
    assert output.count(DENSE) == 2 * 2 + 2 + 2


def test_compare_narrower_than_its_figures(arms: list[Path]) -> None:
    output = printed(40, "compare", *arms, "--resamples", 199)
    assert printed(80, "compare", *arms, "--resamples", 199).count("[") == output.count("[")


@pytest.mark.parametrize("width", [80, 120])
def test_plan_shows_every_precision(tmp_path: Path, width: int) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        """\
name: of-two
models:
  - {name: qwen2.5-coder-1.5b, pretrained: owner/one}
  - {name: smollm2-135m, pretrained: owner/two, checkpoints: {int4-gptq: owner/three}}
precisions: [fp16, int8, int4-nf4]
retrievers: [bm25, "bm25:k1=0.9,b=0.4", "random:seed=123456789"]
tasks: [lamp3u, lamp5u]
k: [0, 10]
limit: 2
""",
        encoding="utf-8",
    )
    output = printed(width, "plan", plan)
    for name in ("qwen2.5-coder-1.5b", "smollm2-135m"):
        assert f"{name}, compared with fp16\n" in output
    precisions = [row[0] for row in rows_of(output)]
    for precision in ("fp16", "int8", "int4-nf4"):
        assert precisions.count(precision) == 2


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", ["tasks", "plugins", "leaks lamp5u --data mini"])
def test_lists(command: str, width: int) -> None:
    narrow, wide = printed(width, *command.split()), printed(1000, *command.split())
    assert all(len(line.rstrip()) <= width for line in narrow.splitlines()[:-3])
    assert sorted(narrow.replace("─", "").split()) == sorted(wide.replace("─", "").split())


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.text("ab1é\n []…", max_size=120), min_size=3, max_size=3), min_size=1
    ),
    width=st.integers(20, 200),
    fold=st.booleans(),
)
def test_no_text_is_lost(rows: list[list[str]], width: int, fold: bool) -> None:
    table = Table("one", "two words", "[three]")
    for row in rows:
        table.add_row(*row)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        runner = CliRunner()
        with runner.isolation() as (out, *_):
            print_tables(table, fold=fold)
            seen = out.getvalue().decode()
    assert "[three]" in seen
    for character in "ab1é[]…":
        expected = sum(cell.count(character) for row in rows for cell in row)
        expected += sum(heading.count(character) for heading in table.headings)
        assert seen.count(character) == expected
