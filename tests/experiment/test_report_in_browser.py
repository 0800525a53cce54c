"""The page in a browser: it filters, links, flips, marks, and runs no script but its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_pages import ODD, question, report_of, write_arms, write_grid
from run_files import QUANTIZED, rating, write_run


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two arms at three k: the loss of int4 grows with k, int8 is the base."""
    root = tmp_path_factory.mktemp("runs")
    report_of(write_arms(root), root / "report.html")
    return root / "report.html"


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


class View:
    """The page as somebody sees it, and all that went wrong in it."""

    def __init__(
        self,
        browser: Any,
        page: Path,
        fragment: str = "",
        width: int = 1280,
        scheme: str = "light",
        waits_for: str = "#list > *",
    ) -> None:
        size = {"width": width, "height": 800}
        self.tab = browser.new_page(viewport=size, color_scheme=scheme)
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.tab.on("console", lambda message: self.wrong.append(message.text))
        self.tab.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(page.as_uri() + fragment)
        self.tab.wait_for_selector(waits_for)

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        loaded = [url for url in self.asked if not url.startswith(("file:", "data:", "blob:"))]
        self.tab.close()
        assert self.wrong == []
        assert loaded == []

    def cell(self, arm: str, k: str) -> Any:
        """Return the map's button of a cell."""
        return self.tab.locator(f'#map button.cell[aria-label^="{arm} "][aria-label*="k = {k},"]')

    def count(self, selector: str) -> int:
        return int(self.tab.locator(f"{selector}:visible").count())

    def listed(self, text: str) -> None:
        """Wait until the line above the samples begins with a text."""
        self.tab.locator("#count", has_text=text).wait_for()

    def address(self) -> str:
        return str(self.tab.evaluate("decodeURIComponent(location.hash)"))


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_everything_is_in_sight(page: Path, browser: Any, width: int, scheme: str) -> None:
    with View(browser, page, width=width, scheme=scheme) as view:
        tab = view.tab
        assert tab.title() == "int4, int8 against base"
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
        if width == 1280:
            # Question and verdicts are on the first screen.
            box = tab.locator("table.verdicts").bounding_box()
            assert box["y"] + box["height"] < 800
        assert view.count("#map button.cell") == 6
        assert view.count("#forest .row") == 6
        assert view.count("#along .point") == 12
        assert view.count("#cells tbody tr") == 6


def test_the_map_filters_all_below(page: Path, browser: Any) -> None:
    with View(browser, page) as view:
        view.cell("int4-nf4", "3").click()
        assert view.cell("int4-nf4", "3").get_attribute("aria-pressed") == "true"
        assert "arm=int4-nf4" in view.address()
        assert "k=3" in view.address()
        assert view.count("#forest .row") == 1
        assert view.count("#cells tbody tr") == 1
        view.listed("38 of 70 samples")
        # Once more: all of them are back.
        view.cell("int4-nf4", "3").click()
        assert view.address() == ""
        assert view.count("#forest .row") == 6
        # A verdict, an arm, a depth.
        view.tab.click('#legend button:has-text("worse")')
        assert view.count("#cells tbody tr") == 2
        view.tab.click("#show-all")
        view.tab.click('#map th button:has-text("int8")')
        assert view.count("#forest .row") == 3
        view.tab.select_option("#filter-k", "3")
        assert view.count("#forest .row") == 1
        # The values of a filter tell how many cells each would leave.
        told = view.tab.locator("#filter-arm option").all_inner_texts()
        assert told == ["all (2)", "int4-nf4 (1)", "int8 (1)"]


def test_the_worst_flips_of_all_cells_come_first(page: Path, browser: Any) -> None:
    with View(browser, page) as view:
        view.listed("57 of 420 samples in 6 cells")
        texts = view.tab.locator("#show option").all_inner_texts()
        assert texts[:3] == ["worse (57)", "better (0)", "another answer (57)"]
        changes = view.tab.locator("#list .change").all_inner_texts()
        assert len(changes) == 20
        assert changes[0] == "0.00 → 4.00"
        losses = [float(change.split(" → ")[1]) - float(change.split()[0]) for change in changes]
        assert losses == sorted(losses, reverse=True)
        view.tab.select_option("#show", "invalid")
        view.listed("6 of 420 samples")
        view.tab.select_option("#show", "all")
        view.tab.fill("#search", "90003")
        view.listed("6 of 420 samples")
        view.tab.fill("#search", "")
        view.listed("420 of 420 samples")
        view.tab.click("#next")
        view.tab.locator("#page", has_text="2 of 21").wait_for()


def test_a_sample_shows_both_arms_and_a_third(page: Path, browser: Any) -> None:
    fragment = "#arm=int4-nf4&k=3&show=all&at=2:90040&third=int8"
    with View(browser, page, fragment) as view:
        sample = view.tab.locator("#list details[open].sample")
        sample.locator(".arms pre").first.wait_for()
        assert sample.locator("h4").all_inner_texts() == [
            *("gold", "bf16 (base) mae 0.000", "int4-nf4 mae 4.000", "int8 mae 0.000"),
            "Prompt",
        ]
        texts = sample.locator(".arms pre").all_inner_texts()
        assert texts == ["1", "1", f"none {ODD}", "1"]
        # What the other arm does not say is marked, word by word.
        assert sample.locator(".arms mark").all_inner_texts()[:2] == ["1", "none"]
        folded = sample.locator("details.folded")
        assert folded.get_attribute("open") is None
        assert folded.locator("summary").inner_text().startswith("3 documents, ")
        assert sample.locator("> pre").all_inner_texts() == [question(40)]
        folded.locator("summary").click()
        documents = folded.locator("pre").inner_text()
        assert documents == "".join(
            f"document {n} \N{SLIGHTLY SMILING FACE} of 40, " for n in range(3)
        )


def test_prompts_that_differ_by_design_are_both_shown(browser: Any, tmp_path: Path) -> None:
    grid = write_grid(tmp_path / "grid")
    pair = ("--pair", "bf16@k=1", "int4-nf4@k=3")
    report_of([str(grid)], tmp_path / "r.html", *pair)
    with View(browser, tmp_path / "r.html", "#at=0:90012&show=all") as view:
        assert "Can m run as int4-nf4 with k = 3 instead of bf16 with k = 1 without" in (
            view.tab.inner_text("h1")
        )
        sample = view.tab.locator("#list details[open].sample")
        sample.locator(".arms pre").first.wait_for()
        assert sample.locator("h4").all_inner_texts()[-1] == "Prompt of int4-nf4, k = 3"
        folded = sample.locator("details.folded > summary").all_inner_texts()
        # Without a prompt at k = 0, nothing tells the one document from the question.
        assert folded[0].startswith("3 documents, ")
        assert folded[1].startswith("Prompt of bf16, k = 1, ")
        # One k against another is no series along k.
        assert not view.tab.locator("#along-section").is_visible()


def test_every_view_has_a_link(page: Path, browser: Any) -> None:
    with View(browser, page) as view:
        view.tab.click('#map th button:has-text("int4-nf4")')
        view.tab.select_option("#show", "invalid")
        view.tab.check("#further")
        view.listed("6 of 210 samples")
        view.tab.locator("#list summary").first.click()
        view.tab.wait_for_selector("#list details[open].sample .arms")
        opened = view.tab.inner_text("#list details[open].sample .name")
        fragment = view.tab.evaluate("location.hash")
        view.tab.go_back()
        assert view.count("th.further") == 0
    with View(browser, page, fragment) as view:
        view.listed("6 of 210 samples")
        assert view.count("#forest .row") == 3
        assert view.count("th.further") > 0
        view.tab.wait_for_selector("#list details[open].sample .arms")
        assert view.tab.inner_text("#list details[open].sample .name") == opened
        # A row of the table leads to its samples.
        view.tab.click("#cells tbody tr:visible a")
        view.listed("38 of 70 samples")
        assert "k=3" in view.address()


def test_by_keyboard_alone(page: Path, browser: Any) -> None:
    with View(browser, page) as view:
        tab = view.tab
        tab.focus("#map button.cell")
        assert tab.locator("#tip").is_visible()
        assert "int4-nf4 against bf16" in tab.inner_text("#tip")
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("Enter")
        assert "k=3" in view.address()
        focused = "document.activeElement.getAttribute('aria-label')"
        assert tab.evaluate(focused).startswith("int4-nf4 against bf16, model-1b. lamp3u, k = 3")
        tab.keyboard.press("Escape")
        view.listed("38 of 70 samples")
        tab.keyboard.press("j")
        tab.keyboard.press("j")
        tab.keyboard.press("k")
        tab.keyboard.press("j")
        tab.keyboard.press("Enter")
        tab.wait_for_selector("#list details[open].sample .arms")
        assert tab.locator("#list .sample").nth(1).get_attribute("open") is not None


def test_no_other_script_runs(page: Path, browser: Any) -> None:
    """Reviews are texts, and where markup gets into the page all the same, it does nothing."""
    with View(browser, page, "#arm=int4-nf4&show=all") as view:
        tab = view.tab
        tab.locator("#list summary").first.click()
        tab.wait_for_selector("#list details[open].sample .arms")
        assert tab.title() == "int4, int8 against base"
        assert tab.locator("main img, main script").count() == 0
    blocked = View(browser, page)
    tab = blocked.tab
    tab.evaluate("""() => {
        const script = document.createElement("script");
        try { script.textContent = "document.title = 'taken'"; } catch {}
        script.append("document.title = 'taken'");
        document.body.append(script);
        const image = document.createElement("img");
        image.src = "https://example.org/pixel";
        document.body.append(image);
        const button = document.createElement("button");
        try { button.setAttribute("onclick", "document.title = 'taken'"); } catch {}
        document.body.append(button);
        button.click();
        try { document.body.insertAdjacentHTML("beforeend", "<b id=markup></b>"); } catch {}
    }""")
    tab.wait_for_timeout(200)
    assert tab.title() == "int4, int8 against base"
    assert tab.locator("#markup").count() == 0
    assert all("Content Security Policy" in text or "requires" in text for text in blocked.wrong)
    assert len(blocked.wrong) >= 2
    tab.close()


def test_without_samples_the_map_still_filters(page: Path, browser: Any, tmp_path: Path) -> None:
    folders = [str(page.parent / name) for name in ("base", "int4", "int8")]
    report_of(folders, tmp_path / "r.html", "--without-samples")
    with View(browser, tmp_path / "r.html", waits_for="#map button.cell") as view:
        view.cell("int4-nf4", "3").click()
        assert view.count("#forest .row") == 1
        assert view.count("#cells tbody tr") == 1


def test_what_the_focus_is_on_tells_its_numbers(page: Path, browser: Any) -> None:
    with View(browser, page) as view:
        view.tab.locator("#forest .row").first.focus()
        told = view.tab.inner_text("#tip")
        assert "lamp3u, k = 3, bm25" in told
        assert "mae 0.057 → 0.686 (+0.629)" in told
        assert "margin ±0.05" in told
        # A loss is left of no difference, though a larger error is a larger number.
        point = view.tab.locator("#forest .row .mark").first.bounding_box()
        zero = view.tab.locator("#forest .zero").first.bounding_box()
        assert point["x"] < zero["x"]
        view.tab.keyboard.press("Enter")
        assert "k=3" in view.address()


def test_printed_it_is_the_answer(page: Path, browser: Any) -> None:
    with View(browser, page) as view:
        view.tab.emulate_media(media="print")
        assert view.tab.locator("table.verdicts").is_visible()
        assert view.tab.locator("#map table").is_visible()
        assert not view.tab.locator("#samples").is_visible()
        assert not view.tab.locator("#filters").is_visible()


@pytest.fixture(scope="module")
def by_attribute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of an arm that is wrong wherever the answer is far back; int8 is the base."""
    root = tmp_path_factory.mktemp("attributes")
    places: list[Path] = []
    for arm, far, args in (
        ("base", 0, {}),
        ("int4", 1, QUANTIZED),
        ("int8", 0, {"load_in_8bit": 1}),
    ):
        rows = [
            rating(
                number,
                f"question {number}",
                str(1 + (number + (far and number // 10 > 4 and number % 7 < 5)) % 5),
                1 + number % 5,
                f"user-{number % 13}",
                attributes={"distance": 100 * (number // 10), "topic": f"topic {number % 3}"},
            )
            for number in range(100)
        ]
        places.append(write_run(root / arm, rows, model_args=args))
    report_of([str(place) for place in places], root / "report.html")
    return root / "report.html"


@pytest.mark.parametrize("width", [1280, 400])
def test_scores_by_an_attribute(by_attribute: Path, browser: Any, width: int) -> None:
    with View(browser, by_attribute, width=width) as view:
        tab = view.tab
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert view.count("#attributes figure") == 1
        # A number comes first: a line for each arm in both panels, and the base's in one.
        assert tab.locator("#attribute").input_value() == "distance"
        assert tab.locator("#attributes path.arm").count() == 4
        assert tab.locator("#attributes path.base").count() == 1
        # Five bins of two arms in two panels; what is farthest back of one arm is filled.
        assert view.count("#attributes .point .dot") == 20
        assert view.count("#attributes .point .dot.shown") >= 4
        said = tab.locator("#attributes").inner_text()
        assert "int4-nf4: from the lowest distance to the highest the difference changes" in said
        assert "the loss grows" in said
        tab.locator("#attribute").select_option("topic")
        tab.locator("#attributes text", has_text="topic 2").wait_for()
        assert tab.locator("#attributes path.arm").count() == 0
        assert "attribute=topic" in view.address()
        tab.locator("#attributes .point").first.focus()
        assert "topic: topic 0" in tab.locator("#tip").inner_text()


def test_the_attribute_that_was_asked_for_is_shown_first(browser: Any, tmp_path: Path) -> None:
    rows = [
        rating(n, f"question {n}", "1", 1, attributes={"distance": n, "topic": f"topic {n % 2}"})
        for n in range(20)
    ]
    arms = [
        write_run(tmp_path / arm, rows, model_args=args)
        for arm, args in (("a", {}), ("b", QUANTIZED))
    ]
    report_of([*map(str, arms), "--by-attribute", "topic"], tmp_path / "report.html")
    with View(browser, tmp_path / "report.html") as view:
        assert view.tab.locator("#attribute").input_value() == "topic"


def test_without_attributes_there_is_no_such_section(page: Path, browser: Any) -> None:
    with View(browser, page) as view:
        assert view.count("#attributes-section") == 0
