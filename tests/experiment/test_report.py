"""The page: the answer with its numbers, whole without a network, every sample in it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html as markup
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from report_pages import question, report_of, samples, write_arms
from run_files import QUANTIZED, write_run

from qrag_tasks.cli import main


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two arms at three k: the loss of one grows with k, the other is the base."""
    root = tmp_path_factory.mktemp("runs")
    out = root / "report.html"
    said = report_of(write_arms(root), out, "--figures", str(root / "figures"))
    assert "6 comparisons" in said
    return out


def test_it_loads_nothing(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    # What the script asks for, a browser shows: test_report_in_browser.py.
    text = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    addresses = re.findall(r"""(?:src|href|url|@import)\s*[=(]\s*["']?([^"'\s)>]+)""", text)
    assert all(a.startswith(("#", "data:")) for a in addresses), addresses
    assert html.count("http-equiv") == 1
    namespaces = re.findall(r"https?://[^\s\"'<>]+", html)
    assert {address.split("/")[2] for address in namespaces} <= {
        *("www.w3.org", "purl.org", "creativecommons.org", "matplotlib.org"),
    }


def test_the_answer_has_its_numbers(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    answer = html[html.index('class="answer"') :]
    counts, largest, trend = re.findall(r"<li>(.*?)</li>", answer[: answer.index("</ul>")])
    assert counts.startswith("Of 6 comparisons of int4-nf4, int8 with bf16 on identical prompts, ")
    assert "2 are worse by more than chance explains" in counts
    # At k = 3 40 of 70 are one off and 2 hold nothing, which counts as the far end of the scale.
    assert "model-1b int4-nf4 on lamp3u at k = 3 with bm25: mae 0.057 to 0.6" in largest
    assert "The loss grows with the number of documents in 1 of 1 series" in trend


def test_each_arm_has_a_verdict_with_its_reason(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    told = texts_of(html[html.index('<table class="verdicts">') : html.index("</table>")])
    assert "Can model-1b run as int4-nf4 or int8 instead of bf16 without answering worse" in (
        " ".join(texts_of(html[html.index("<h1>") : html.index("</h1>")]))
    )
    int4, int8 = (told.index(arm) for arm in ("int4-nf4", "int8"))
    assert told[int4 + 1 : int4 + 4] == ["against bf16", "▼", "worse"]
    assert html.count('class="strip"') == 2
    reason = " ".join(told[int4:int8])
    assert "Of 3 cells: 2 worse, 1 too few." in reason
    assert "Largest loss: mae 0.057 to 0.6" in reason
    # Not one answer of int8 is another: within the margin, or not known to be.
    assert "worse" not in told[int8:]
    assert "100 % same answers" in told[int8:]


def test_what_was_measured_is_said(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    told = texts_of(html[html.index('class="measured"') : html.index("</dl>")])
    facts = " ".join(told)
    assert "Date 2026-11-22" in facts
    assert "lamp3u: 70 samples, 70 users, split dev, sha256 dddddddddddd" in facts
    assert "protocol: qrag" in facts
    assert "chat template: sha256 cccccccccccc" in facts
    assert "Margins mae 0.05" in facts
    assert "neither measured (`qrag noise`) nor excluded (deterministic=True)" in facts


def test_the_table_begins_with_what_matters(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    table = html[html.index('<table id="cells">') :]
    table = table[: table.index("</table>")]
    shown = re.findall(r'<th scope="col">(.*?)</th>', table)
    first_columns = ["Arm", "Verdict", "Task", "k", "Retriever", "Difference", "95 % interval"]
    assert shown == [*first_columns, "Metric", "Samples"]
    first, second, *_ = re.findall(r"<tr data-cell.*?</tr>", table)
    # Two cells are worse: the larger loss comes first.
    assert texts_of(first)[:5] == ["int4-nf4", "▼", "worse", "lamp3u", "3"]
    assert texts_of(second)[4] == "1"
    assert "#model=model-1b&amp;arm=int4-nf4&amp;task=lamp3u&amp;k=3&amp;retriever=bm25" in first


def test_nothing_but_its_own_script_may_run(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    policy = markup.unescape(re.findall(r'http-equiv=.*? content="(.*?)"', html)[0])
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules["script-src"] == f"'sha256-{digest}'"


def test_few_samples_are_no_all_clear(tmp_path: Path) -> None:
    for name, arguments in (("one", {}), ("two", QUANTIZED)):
        write_run(tmp_path / name, samples(0, 1)[:4], model_args=arguments)
    report_of([f"{tmp_path}/one", f"{tmp_path}/two"], tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    told = texts_of(html[html.index('<table class="verdicts">') : html.index("</table>")])
    assert told[told.index("int4-nf4") + 3] == "too few"
    assert "Nothing was shown in either direction (n = 4)." in " ".join(told)
    assert "1 cell with too few samples, or too few that differ" in " ".join(told)
    # No point within a margin, either.
    assert 'class="strip"' not in html


def test_a_page_without_texts(page: Path, tmp_path: Path) -> None:
    folders = [str(page.parent / name) for name in ("base", "int4")]
    report_of(folders, tmp_path / "r.html", "--without-samples")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert 'id="chunk-' not in html
    assert "review 3" not in html
    assert ">look<" not in html
    assert "The samples are left out of this page." in html
    # What is said of the cells is all there.
    assert len(json.loads(re.findall(r'id="data">(.*?)</script>', html)[0])["cells"]) == 3


def test_a_score_of_unknown_direction_is_no_loss(tmp_path: Path) -> None:
    for name, wrong, arguments in (("one", 4, {}), ("two", 44, QUANTIZED)):
        directions = {"higher_is_better": {"lamp3u_rag_k1": {"mae": None}}}
        write_run(tmp_path / name, samples(wrong, 1), model_args=arguments, **directions)
    report_of([f"{tmp_path}/one", f"{tmp_path}/two"], tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    told = texts_of(html[html.index('<table class="verdicts">') : html.index("</table>")])
    assert told[told.index("int4-nf4") + 3] == "different"
    assert "Largest difference: mae 0.057 to 0.629" in " ".join(told)


def test_figures_are_files_too(page: Path) -> None:
    names = {path.name for path in (page.parent / "figures").iterdir()}
    assert names == {f"{n}.{form}" for n in ("score-by-k", "gap-by-k") for form in ("svg", "pdf")}


def test_every_sample_is_in_it(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    data = json.loads(re.findall(r'id="data">(.*?)</script>', html)[0])
    packed = dict(re.findall(r'id="chunk-(\d+)">(.*?)</script>', html))
    assert len(data["cells"]) == 6
    chunks = {
        int(number): json.loads(gzip.decompress(base64.b64decode(text)))
        for number, text in packed.items()
    }
    where = data["questions"]["lamp3u"]
    for cell in data["cells"]:
        answers = [
            # An answer that is the base's is not held twice.
            (*asked, asked[2] if own[0] is None else own[0], *own[1:])
            for asked, own in zip(chunks[cell["asked"]], chunks[cell["answers"]], strict=True)
        ]
        documents = range(int(cell["k"]))
        assert len(answers) == cell["n"] == cell["counts"]["all"] == 70
        assert answers[69][:4] == ("90069", "5", "5", 0)
        assert answers[69][5:9] == ("5", 0, 0, 0)
        asked = []
        for key, *_, place in answers:
            number = where["keys"].index(key)
            chunk = chunks[where["first"] + number // where["together"]]
            prompts = chunk[number % where["together"]]
            asked.append({**prompts[place], "prompt": whole(prompts, place)})
        assert [one["prompt"] for one in asked] == [
            one["arguments"]["gen_args_0"]["arg_0"] for one in samples(0, len(documents))
        ]
        assert asked[3]["dropped"] == ["x"]
        # What all prompts of a question end with is the question.
        if documents:
            start, end = asked[12]["documents"]
            assert asked[12]["prompt"][end:] == question(12)
            assert asked[12]["prompt"][start:end].startswith(
                "document 0 \N{SLIGHTLY SMILING FACE} of 12, "
            )
        else:
            assert "documents" not in asked[12]
    int4 = next(c for c in data["cells"] if c["arm"] == "int4-nf4" and c["k"] == "3")
    # Of the scale's 4: two hold no rating and lose all that the gold leaves, 36 are one off.
    assert int4["counts"] == {"all": 70, "worse": 38, "better": 0, "other": 38, "invalid": 2}
    assert int4["worst"][0] == [40, 1.0]
    # Prompts, and what the base answered, are there once for all arms that were given them.
    assert len(packed) == 3 + 6 + -(-70 // where["together"])
    # What a prompt says is text, nowhere markup.
    assert 'document.title = "taken"' not in html
    assert "<img" not in html


def test_grids_without_golds_or_k(tmp_path: Path) -> None:
    for name, wrong, arguments in (("one", 4, {}), ("two", 11, QUANTIZED)):
        rows = [{**row, "metrics": ["valid_rate"]} for row in samples(wrong, 1)]
        write_run(tmp_path / name, rows, model_args=arguments)
    out = tmp_path / "r.html"
    done = CliRunner().invoke(
        main, ["report", f"{tmp_path}/one", f"{tmp_path}/two", "-o", str(out)]
    )
    assert done.exit_code == 0, done.output
    html = out.read_text(encoding="utf-8")
    assert "in 1 comparison the two arms give the same answer to at least 90.0% of the" in html
    assert ": 1 comparison, " in done.stdout
    assert "agreement is what there is: at least 90.0% same answers (lamp3u at k = 1" in html
    assert "Whether an answer is better or worse: the golds are not known." in html


def whole(prompts: list[dict[str, Any]], place: int) -> str:
    """Return a prompt, of which a page may hold what tells it from another."""
    prompt: str = prompts[place]["prompt"]
    if "like" not in prompts[place]:
        return prompt
    other, first, last = prompts[place]["like"]
    text = whole(prompts, other)
    return text[:first] + prompt + text[len(text) - last :]


def texts_of(html: str) -> list[str]:
    """Return the texts between tags."""
    parts = (markup.unescape(part).strip() for part in re.split(r"<[^>]*>", html))
    return [part for part in parts if part]


def test_what_cannot_be_written(page: Path, tmp_path: Path) -> None:
    place = tmp_path / "nowhere" / "r.html"
    runs = page.parent
    done = CliRunner().invoke(
        main, ["report", f"{runs}/base", f"{runs}/int4", "-o", str(place), "--resamples", "99"]
    )
    assert done.exit_code == 1
    assert "r.html: cannot be written" in done.output
