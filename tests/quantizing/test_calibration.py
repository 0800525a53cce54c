"""The texts to calibrate with: which they are, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from lamp_files import papers, reviews, write_flat

pytest.importorskip("torch", reason="the hf extra is not installed")

from qrag_tasks.engines.tokenizers import model_text
from qrag_tasks.errors import DataError, SettingsError
from qrag_tasks.prompting.model_text import ModelText
from qrag_tasks.quantizing.calibration import Calibration, Wanted
from qrag_tasks.tasks.catalog import task_named
from qrag_tasks.tasks.lamp.data import load


@pytest.fixture
def text(tiny_model: Path) -> ModelText:
    text_of_model = model_text({"pretrained": str(tiny_model)})
    assert text_of_model is not None
    return text_of_model


def decoded(calibration: Calibration, text: ModelText) -> list[str]:
    return [str(text.tokenizer.decode(row)) for row in calibration.rows]


def test_mini_prompts_are_like_those_of_a_run_and_none_is_one(text: ModelText) -> None:
    found = Wanted(samples=120).read(text)
    prompts = decoded(found, text)
    assert len(prompts) == len(set(prompts)) == 120
    assert [i.partition(":")[0] for i in found.ids] == 60 * ["lamp3u"] + 60 * ["lamp5u"]
    for prompt in prompts:
        assert prompt.startswith("<|user|>")
        assert prompt.endswith("<|end|><|assistant|>")
    # LaMP's wording of one document.
    assert {prompt.count("is the score for") for prompt in prompts[:60]} == {5}
    assert {prompt.count("is a title for") for prompt in prompts[60:]} <= {3, 4, 5}
    texts = "\n".join(prompts)
    for name in ("lamp3u", "lamp5u"):
        for sample in load(task_named(name), "mini").samples:
            assert sample.input.partition(": ")[2] not in texts
            for item in sample.profile:
                assert item.get("text", item.get("abstract", "")) not in texts
                assert f'"{item.get("title")}"' not in texts


def test_the_seed_chooses_the_prompts(text: ModelText) -> None:
    wanted = Wanted(samples=8)
    assert wanted.read(text, 1) == wanted.read(text, 1)
    assert not set(wanted.read(text, 1).ids) & set(wanted.read(text, 2).ids)
    assert wanted.read(text, 1).texts_sha256 != wanted.read(text, 2).texts_sha256


def test_prompts_lose_documents_and_are_not_cut(text: ModelText) -> None:
    prompts = Wanted(samples=10, max_tokens=300).read(text)
    assert max(map(len, prompts.rows)) <= 300
    assert all(prompt.endswith("<|end|><|assistant|>") for prompt in decoded(prompts, text))


def test_a_model_without_template_gets_plain_prompts(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").unlink()
    text = model_text({"pretrained": str(folder)})
    assert text is not None
    prompts = Wanted(samples=2).read(text)
    assert "<|" not in "".join(decoded(prompts, text))
    assert prompts.as_dict()["prompts"]["chat_template"] is False


def train_split(folder: Path, count: int) -> Path:
    for name, lamp, (questions, golds) in (
        ("lamp3u", "LaMP_3", reviews(count)),
        ("lamp5u", "LaMP_5", papers(count)),
    ):
        write_flat(folder, name, *(reviews() if name == "lamp3u" else papers()))
        split = folder / lamp / "train"
        split.mkdir(parents=True)
        content = json.dumps(questions).replace("Kettle", "Toaster").replace("kettle", "toaster")
        (split / "train_questions.json").write_text(content.replace("bird", "frog"))
        (split / "train_outputs.json").write_text(json.dumps(golds))
    return folder


def test_a_tasks_prompts_are_of_its_train_split(text: ModelText, tmp_path: Path) -> None:
    root = train_split(tmp_path / "data", 12)
    found = Wanted("lamp3u,lamp5u", samples=10, data=str(root)).read(text)
    prompts = decoded(found, text)
    assert ["oaster" in prompt for prompt in prompts] == 5 * [True] + 5 * [False]
    assert ["frog" in prompt for prompt in prompts] == 5 * [False] + 5 * [True]
    assert not any("ettle" in prompt or "bird" in prompt for prompt in prompts)
    about = found.as_dict()
    assert about["split"] == "train"
    assert about["data"][0]["path"] == str(root / "LaMP_3" / "train" / "train_questions.json")
    assert about["data"][0]["sha256"] == load(task_named("lamp3u"), str(root), "train").fingerprint


def test_fewer_prompts_than_asked_for_are_all_used_and_told(
    text: ModelText, tmp_path: Path
) -> None:
    root = train_split(tmp_path / "data", 12)
    prompts = Wanted("lamp3u", samples=50, data=str(root)).read(text)
    assert sorted(prompts.ids) == sorted(f"lamp3u:{100 + i}" for i in range(12))
    (note,) = prompts.as_dict()["notes"]
    assert "50 calibration prompts of lamp3u were asked for, and 12 of 12" in note


def test_without_a_train_split_nothing_else_is_taken(text: ModelText, small_data: Path) -> None:
    with pytest.raises(DataError, match=r"no data of the train split.*(\n.*)+--split train"):
        Wanted("lamp3u", data=str(small_data)).read(text)


def test_texts_of_a_file(text: ModelText, tmp_path: Path) -> None:
    long = [f"Text {i}\nof two lines, " + "which goes on and on, " * 12 for i in range(9)]
    path = tmp_path / "texts.txt"
    path.write_bytes(("\r\n\r\n".join([*long, "short"]) + "\n \n\n").encode())
    prompts = Wanted(str(path), samples=4, max_tokens=80).read(text)
    assert [len(row) for row in prompts.rows] == [80] * 4
    for i, shown in zip(prompts.ids, decoded(prompts, text), strict=True):
        assert long[int(i)].startswith(shown)
    (note,) = prompts.notes
    assert "1 of 10 texts have fewer than 10 tokens and are left out" in note
    assert "holds 9: all are used" in Wanted(str(path)).read(text).notes[1]
    assert Wanted(str(path), samples=4).read(text, 1).ids != prompts.ids


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "neither 'mini', nor a LaMP task .*, nor a file of texts"),
        (b"", "holds no text; give texts in UTF-8 with an empty line between them"),
        (b" \n\n \n", "holds no text"),
        (b"A few words only, but ten tokens.", "tokens in 1 texts .*are too few .*at least 256"),
        (b"\xff\xfe", "not UTF-8 text but UTF-16 or UTF-32"),
    ],
)
def test_bad_calibration_files_are_refused(
    text: ModelText, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "texts.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=f"--calibration .*texts.txt: .*{message}"):
        Wanted(str(path)).read(text)


def test_a_misspelt_task_is_corrected(text: ModelText) -> None:
    with pytest.raises(SettingsError, match=r"--calibration lamp3: .*Did you mean 'lamp3"):
        Wanted("lamp3").read(text)


@pytest.mark.parametrize(("lengths", "longest"), [((7, 5, 8), 8), ((3, 3), 100), ((9, 1, 1), 4)])
def test_even_rows_hold_the_same_tokens(lengths: tuple[int, ...], longest: int) -> None:
    tokens = iter(range(sum(lengths)))
    rows = tuple(tuple(next(tokens) for _ in range(length)) for length in lengths)
    even = Calibration(rows, ("",) * len(rows), "", {}).even_rows(longest)
    assert len({len(row) for row in even}) == 1
    assert len(even[0]) <= longest
    joined = [token for row in even for token in row]
    assert joined == list(range(len(joined)))
    assert sum(lengths) - len(joined) < len(even) == -(-sum(lengths) // longest)
