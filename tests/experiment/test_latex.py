"""A comparison in LaTeX: the table that papers print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from run_files import QUANTIZED, rating, write_run

from qrag_tasks.experiment.comparison.compare import compare_runs
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.comparison.tables.latex import latex
from qrag_tasks.logs.runs import read_runs

GOLDS = [1 + i % 5 for i in range(60)]


def samples(wrong: int, k: int) -> list[dict[str, Any]]:
    given = [gold - 1 or 2 if i < wrong else gold for i, gold in enumerate(GOLDS)]
    both = enumerate(zip(given, GOLDS, strict=True))
    return [rating(i, f"{k} {i}", str(one), gold, kept=["d"] * k) for i, (one, gold) in both]


def write_arm(folder: Path, wrong: dict[tuple[str, int], int], arguments: dict[str, Any]) -> Path:
    for (retriever, k), number in wrong.items():
        write_run(
            folder / f"{retriever}{k}",
            samples(number, k),
            task=f"lamp3u_rag_k{k}",
            facts={"retriever": retriever},
            model_args=arguments,
        )
    return folder


def checked(comparison: Comparison) -> str:
    """A comparison in LaTeX, of which every row has as many cells as its table has columns."""
    text = latex(comparison)
    bare = re.sub(r"\\(textbackslash|[&%$#_{}])", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    for columns, body in re.findall(
        r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}\n(.*?)\\end\{tabular\}", bare, re.DOTALL
    ):
        rows = [line for line in body.splitlines() if "rule" not in line and "\\\\" in line]
        assert {row.count("&") + 1 for row in rows} == {len(columns)}
    return text


def test_rows_are_retrievers_and_k_and_columns_are_arms(tmp_path: Path) -> None:
    base = write_arm(tmp_path / "base", {("bm25", 0): 30, ("bm25", 1): 30, ("a_b", 1): 30}, {})
    four = write_arm(
        tmp_path / "four", {("bm25", 0): 60, ("bm25", 1): 10, ("a_b", 1): 30}, QUANTIZED
    )
    eight = write_arm(
        tmp_path / "eight", {("bm25", 0): 30, ("bm25", 1): 31}, {"load_in_8bit": True}
    )
    options = Options(margins={"mae": 0.2}, resamples=199)
    comparison = compare_runs(read_runs(base), [read_runs(four), read_runs(eight)], options)
    text = checked(comparison)
    assert text.startswith("% Needs \\usepackage{booktabs}.\n\\begin{table}\n\\centering\\small")
    table, *_ = text.split("\\end{table}")
    caption, table = (
        table[: table.index("\n\\begin{tabular}")],
        table[table.index("{@{}lrrll@{}}") :],
    )
    assert caption.splitlines()[-1] == (
        "\\caption{mae (lower is better), model-1b on lamp3u: differences to bf16, with 95 "
        "\\% intervals. Bold: significant after Holm's correction (p \\textless{} 0.05); =: "
        "equivalent within $\\pm$0.2.}"
    )
    lines = table.splitlines()
    assert lines[1:4] == ["\\toprule", "Retriever & k & bf16 & int4-nf4 & int8 \\\\", "\\midrule"]
    assert lines[-2:] == ["\\bottomrule", "\\end{tabular}"]
    none, its_intervals, _, a_b, _, _, bm25, _ = lines[4:-2]
    assert none.startswith("none & 0 & 0.500 & \\textbf{+0.500} & +0.000 = \\\\[-2pt]")
    assert its_intervals.startswith(" &  &  & {\\scriptsize [+0.")
    low, high = re.findall(r"\d\.\d{3}", its_intervals)[:2]
    assert float(low) < 0.5 < float(high)
    assert "{\\scriptsize [$-$0." in its_intervals
    assert lines.count("\\addlinespace") == 2
    # One cell is missing.
    assert a_b.startswith("a\\_b & 1 & 0.500 & +0.000")
    assert a_b.endswith(" &  \\\\[-2pt]")
    assert bm25.startswith("bm25 & 1 & 0.500 & \\textbf{$-$0.333} & +0.017")
    assert re.search(r"(?<!\$)-\d\.", table) is None


def test_a_retriever_stands_once(tmp_path: Path) -> None:
    wrong = {("bm25", k): 9 for k in (1, 3, 5)}
    base, four = (
        read_runs(write_arm(tmp_path / name, wrong, arguments))
        for name, arguments in (("base", {}), ("four", QUANTIZED))
    )
    scores, trends, *_ = checked(compare_runs(base, [four])).split("\n\n")
    assert [line[:11] for line in scores.splitlines() if " 0.150 " in line] == [
        *("bm25 & 1 & ", " & 3 & 0.15", " & 5 & 0.15"),
    ]
    assert "\\addlinespace" not in scores
    assert (
        "mae (lower is better), model-1b on lamp3u: slope of the difference to bf16 per" in trends
    )
    assert "\\begin{tabular}{@{}ll@{}}" in trends


def test_tasks_without_k_are_rows(tmp_path: Path) -> None:
    arms = []
    for name, arguments in (("[one]", {}), ("two", QUANTIZED)):
        for task in ("[quiz]", "riddles"):
            write_run(tmp_path / name / task, samples(9, 1), task=task, model_args=arguments)
        arms.append(read_runs(tmp_path / name))
    text = checked(compare_runs(arms[0], arms[1:], Options(resamples=199)))
    assert text.count("\\begin{tabular}{@{}lrl@{}}") == text.count("tabular}{") == 1
    assert "\nTask & bf16 & int4-nf4 \\\\\n" in text
    # LaTeX would take the bracket for an argument of the line's end above it.
    assert "\n{}[quiz] & 0.150 & " in text
    assert "\nriddles & 0.150 & " in text


def test_names_are_printed_to_the_letter(tmp_path: Path) -> None:
    odd = r"a_b\c~d^e&f%g$h#i{j}k|l<m>n"
    for name, arguments in (("one", {}), ("two", QUANTIZED)):
        given = {"pretrained": odd, **arguments}
        write_run(tmp_path / name, samples(9, 1), facts={"retriever": odd}, model_args=given)
    arms = [read_runs(tmp_path / name) for name in ("one", "two")]
    written = (
        r"a\_b\textbackslash{}c\textasciitilde{}d\textasciicircum{}e\&f\%g\$h\#i\{j\}k\textbar{}l"
        r"\textless{}m\textgreater{}n"
    )
    assert checked(compare_runs(arms[0], arms[1:], Options(resamples=199))).count(written) == 2


def test_answers_without_golds(tmp_path: Path) -> None:
    for name, arguments in (("one", {}), ("two", QUANTIZED)):
        rows = [{**row, "metrics": []} for row in samples(9, 1)]
        write_run(tmp_path / name, rows, model_args=arguments)
    arms = [read_runs(tmp_path / name) for name in ("one", "two")]
    text = checked(compare_runs(arms[0], arms[1:], Options(resamples=199)))
    assert "\\caption{model-1b on lamp3u: share of the answers that are bf16's.}" in text
    assert "bm25 & 1 & 100.0\\% \\\\" in text
