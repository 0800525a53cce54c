"""The page: the answer with its numbers, whole without a network, every sample in it."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from run_files import QUANTIZED, rating, write_run

from qrag_tasks.cli import main

GOLDS = [1 + i % 5 for i in range(70)]
ODD = '</script><script>document.title = "taken"</script> <|im_end|> {{ braces }} \u2028 ünï'


def samples(wrong: int, k: int, invalid: int = 0) -> list[dict[str, Any]]:
    """Rows of which the first are one off, and the next hold no rating."""
    rows = []
    for i, gold in enumerate(GOLDS):
        off = str(gold - 1 or 2)
        answer = off if i < wrong else f"none {ODD}" if i < wrong + invalid else str(gold)
        kept = [f"d{n}" for n in range(k)]
        rows.append(
            rating(i, f"k={k} review {i} {ODD}", answer, gold, kept=kept, dropped=["x"] * (i == 3))
        )
    return rows


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two arms at three k: the loss grows with k."""
    root = tmp_path_factory.mktemp("runs")
    for k, losses in ((0, 7), (1, 16), (3, 40)):
        write_run(root / "base" / str(k), samples(4, k), task=f"lamp3u_rag_k{k}")
        write_run(
            root / "int4" / str(k),
            samples(losses, k, invalid=2),
            task=f"lamp3u_rag_k{k}",
            model_args=QUANTIZED,
        )
    out = root / "report.html"
    figures = root / "figures"
    done = CliRunner().invoke(
        main,
        [
            "report",
            f"{root}/base",
            f"{root}/int4",
            "-o",
            str(out),
            "--figures",
            str(figures),
            "--resamples",
            "999",
        ],
    )
    assert done.exit_code == 0, done.output
    assert "3 comparisons" in done.stdout
    return out


def test_it_loads_nothing(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    addresses = re.findall(r"""(?:src|href|url|@import)\s*[=(]\s*["']?([^"'\s)>]+)""", html)
    assert all(a.startswith(("#", "data:")) for a in addresses), addresses
    assert "http-equiv" not in html
    namespaces = re.findall(r"https?://[^\s\"'<>]+", html)
    assert {address.split("/")[2] for address in namespaces} <= {
        *("www.w3.org", "purl.org", "creativecommons.org", "matplotlib.org"),
    }


def test_the_answer_has_its_numbers(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    answer = html[html.index('class="answer"') : html.index("</ol>")]
    counts, largest, trend = re.findall(r"<li>(.*?)</li>", answer)
    assert counts.startswith("Of 3 comparisons of int4-nf4 with bf16 on identical prompts, ")
    assert "2 are worse by more than chance explains" in counts
    # At k = 3 40 of 70 are one off and 2 hold nothing, which counts as the far end of the scale.
    assert "model-1b int4-nf4 on lamp3u at k = 3 with bm25: mae 0.057 to 0.6" in largest
    assert "The loss grows with the number of documents in 1 of 1 series" in trend


def test_what_is_constant_is_in_no_column(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    titles = re.findall(r"<h3 id=.table-[^>]*>(.*?)</h3>", html)
    assert [title.replace("\N{NO-BREAK SPACE}", " ") for title in titles] == [
        "lamp3u, mae ↓: model-1b int4-nf4 against bf16 (bm25, best-first, n = 70)",
        "lamp3u, mae ↓, slope of the difference per document: model-1b int4-nf4 against bf16 "
        "(bm25, best-first, k = 0, 1, 3, n = 70)",
    ]
    cells, trends = (
        re.findall(r"<th scope=.col.>(.*?)</th>", head)
        for head in re.findall(r"<thead>(.*?)</thead>", html)
    )
    assert cells[:4] == ["k", "Verdict", "Difference", "95 % interval"]
    assert cells[-1] == "Better / worse"
    assert trends == ["Verdict", "Slope", "95 % interval", "p (Holm)"]


def test_figures_are_files_too(page: Path) -> None:
    names = {path.name for path in (page.parent / "figures").iterdir()}
    assert names == {f"{n}.{form}" for n in ("score-by-k", "gap-by-k") for form in ("svg", "pdf")}
    html = page.read_text(encoding="utf-8")
    assert html.count("<svg") == 2
    assert "currentColor" in html
    assert "#010203" not in html


def test_every_sample_is_in_it(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    data = json.loads(re.findall(r'id="data">(.*?)</script>', html)[0])
    packed = dict(re.findall(r'id="chunk-(\d+)">(.*?)</script>', html))
    assert len(data["cells"]) == 3
    for cell in data["cells"]:
        prompts, answers = (
            json.loads(gzip.decompress(base64.b64decode(packed[str(cell[name])])))
            for name in ("prompts", "answers")
        )
        assert [one["prompt"] for one in prompts] == [
            f"k={cell['k']} review {i} {ODD}" for i in range(70)
        ]
        assert len(answers) == cell["samples"] == 70
        assert answers[69] == ["90069", "5", "5", "5", 0, 0, 0, 0]
        assert prompts[3]["dropped"] == ["x"]
    # What a prompt says is text, nowhere markup.
    assert 'document.title = "taken"' not in html


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
    assert "<svg" not in html


def test_what_cannot_be_written(page: Path, tmp_path: Path) -> None:
    place = tmp_path / "nowhere" / "r.html"
    runs = page.parent
    done = CliRunner().invoke(
        main, ["report", f"{runs}/base", f"{runs}/int4", "-o", str(place), "--resamples", "99"]
    )
    assert done.exit_code == 1
    assert "r.html: cannot be written" in done.output


# ---------------------------------------------------------------------- in a browser
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium here")
    with api.sync_playwright() as running:
        started = running.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield started
        started.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_in_chromium(page: Path, browser: Any, width: int, scheme: str) -> None:
    view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    wrong: list[str] = []
    view.on("console", lambda message: wrong.append(message.text))
    view.on("pageerror", lambda error: wrong.append(str(error)))
    asked: list[str] = []
    view.on("request", lambda request: asked.append(request.url))
    view.goto(page.as_uri())
    view.wait_for_selector("#list details")
    assert view.title() == "int4 against base"
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    assert view.inner_text("#count") == "70 of 70 samples"
    assert view.locator("#list details").count() == 50
    view.click("#next")
    assert view.locator("#list details").count() == 20
    assert view.inner_text("#page") == "2 of 2"
    # k = 3, and of it the flips.
    view.select_option("#cell", index=2)
    view.wait_for_function("document.querySelector('#page').textContent === '1 of 2'")
    view.select_option("#kind", "worse")
    view.wait_for_function("document.querySelector('#count').textContent.startsWith('38 ')")
    view.select_option("#kind", "invalid")
    view.wait_for_function("document.querySelector('#count').textContent.startsWith('2 ')")
    view.select_option("#kind", "all")
    view.fill("#search", "90003")
    view.wait_for_function("document.querySelector('#count').textContent.startsWith('1 ')")
    # By keyboard alone.
    view.focus("#list summary")
    view.keyboard.press("Enter")
    view.wait_for_selector("#list details[open] pre")
    texts = view.locator("#list details[open] pre").all_inner_texts()
    assert texts == ["4", "3", "3", f"k=3 review 3 {ODD}"]
    opened = view.inner_text("#list details[open]")
    assert "Documents kept, best first: d0, d1, d2" in opened
    assert "Dropped: x" in opened
    paper = view.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    assert wrong == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    view.close()
