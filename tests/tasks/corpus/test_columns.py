"""Columnar files: what the json says comes back, whatever happens to files and processes."""

from __future__ import annotations

import copy
import gzip
import json
import os
import pickle
import re
import resource
import signal
import subprocess
import sys
import textwrap
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.feather as feather
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lamp_files import REVIEW_INPUT, reviews, write_flat

from qrag_tasks.errors import StoreError
from qrag_tasks.tasks.corpus import arrow_files, columns
from qrag_tasks.tasks.lamp import data
from qrag_tasks.tasks.lamp.data import DataSet, Sample
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

TASK = LAMP_TASKS["lamp3u"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "own cache"
    monkeypatch.setenv("QRAG_CACHE", str(folder))
    return folder


def load(root: Path) -> DataSet:
    """Load as a new process does."""
    data._columns.cache_clear()
    return data.load(TASK, str(root))


def folder_in(cache: Path) -> Path:
    (folder,) = (cache / "data").iterdir()
    return folder


def names_in(cache: Path) -> list[str]:
    names = sorted(path.name for path in folder_in(cache).iterdir())
    return [re.sub(r"-[0-9a-f]{16}\.", "-*.", name) for name in names]


WHOLE = ["about.json", "lock", "profiles-*.arrow", "questions-*.arrow"]


# ---------------------------------------------------------------- what is written is read
def as_json_says(questions: list[dict[str, Any]], outputs: dict[str, Any]) -> list[Sample]:
    """Make the samples as plainly as can be, except their users."""
    golds = {gold["id"]: gold["output"] for gold in outputs["golds"]}
    samples = []
    for question in questions:
        profile: list[dict[str, str]] = []
        for entry in question["profile"]:
            name, copy_number = str(entry["id"]), 1
            while name in [item["id"] for item in profile]:
                copy_number += 1
                name = f"{entry['id']}#{copy_number}"
            item = {"id": name, "text": str(entry["text"]), "score": str(entry["score"])}
            if "date" in entry:
                item["date"] = entry["date"]
            profile.append(item)
        samples.append(
            Sample(
                question["id"], question["input"], tuple(profile), golds[question["id"]], user="?"
            )
        )
    return samples


items = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["7", "7#2", "8", "", 7]) | st.text(max_size=3),
        "text": st.text(max_size=12)
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False),
        "score": st.sampled_from(["1", 5, 2.5]),
    },
    optional={"date": st.sampled_from(["2020-01-01", ""])},
)


@st.composite
def data_sets(draw: st.DrawFn) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    profiles = draw(st.lists(st.lists(items, max_size=6), min_size=1, max_size=3))
    texts = draw(st.lists(st.text(max_size=9), min_size=1, max_size=7))
    questions = []
    for number, text in enumerate(texts):
        question = {
            "id": f"q{number} é",
            "input": f"{REVIEW_INPUT}{text}",
            "profile": draw(st.sampled_from(profiles)),
        }
        if user := draw(st.sampled_from([None, "u1", 2])):
            question["user_id"] = user
        questions.append(question)
    golds = [{"id": q["id"], "output": draw(st.sampled_from("12345"))} for q in questions]
    return questions, {"task": "LaMP_3", "golds": golds}


@given(data_sets(), st.sampled_from([1, 100, 200, 1 << 20]), st.booleans(), st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_data_comes_back_as_json_says_it(
    tmp_path_factory: pytest.TempPathFactory,
    data_set: tuple[list[dict[str, Any]], dict[str, Any]],
    batch_size: int,
    ascii_only: bool,
    drawn: st.DataObject,
) -> None:
    questions, outputs = data_set
    root = tmp_path_factory.mktemp("data")
    folder = root / "lamp3u"
    folder.mkdir()
    text = json.dumps(questions, ensure_ascii=ascii_only)
    (folder / "questions.json").write_bytes(text.encode())
    (folder / "outputs.json").write_text(json.dumps(outputs), encoding="utf-8")
    expected = as_json_says(json.loads(text), outputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrow_files, "_BATCH_SIZE", batch_size)
        loaded = load(root)
        packed = gzip.compress(text.encode())
        (folder / "questions.json").unlink()
        (folder / "questions.json.gz").write_bytes(packed)
        from_packed = load(root)

    everything = list(loaded.samples)
    assert [replace(sample, user="?") for sample in everything] == expected
    assert loaded.ids == tuple(sample.id for sample in expected)
    assert len(loaded.samples) == len(expected)
    # Random access, slices and the packed file say the same.
    order = drawn.draw(st.permutations(range(-len(expected), len(expected))))
    assert [loaded.samples[i] for i in order] == [everything[i] for i in order]
    part = drawn.draw(st.slices(len(expected)))
    assert list(loaded.samples[part]) == everything[part]
    assert list(from_packed.samples) == everything
    assert from_packed.fingerprint == loaded.fingerprint

    for question, sample in zip(questions, everything, strict=True):
        if "user_id" in question:
            assert sample.user == str(question["user_id"])
        else:
            own = f"question-{re.escape(sample.id)}"
            assert re.fullmatch(r"profile-[0-9a-f]{16}" if sample.profile else own, sample.user)
    nameless = [s for q, s in zip(questions, everything, strict=True) if "user_id" not in q]
    for one in nameless:
        for other in nameless:
            alike = one is other or (bool(one.profile) and one.profile == other.profile)
            assert (one.user == other.user) == alike


def test_profiles_of_any_size_span_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_files, "_BATCH_SIZE", 200)
    questions, outputs = reviews(12)
    for number, question in enumerate(questions):
        question["profile"] = question["profile"][:1] * number
    loaded = load(write_flat(tmp_path, "lamp3u", questions, outputs))
    everything = [replace(sample, user="?") for sample in loaded.samples]
    assert everything == as_json_says(questions, outputs)


def test_profiles_that_only_look_alike_are_told_apart(tmp_path: Path) -> None:
    questions, outputs = reviews(3, profile=1)
    texts = [("12", "3"), ("1", "23"), ("123", "")]
    for question, (item_id, text) in zip(questions, texts, strict=True):
        question["profile"][0] |= {"id": item_id, "text": text, "score": "5"}
    samples = load(write_flat(tmp_path, "lamp3u", questions, outputs)).samples
    assert [(s.profile[0]["id"], s.profile[0]["text"]) for s in samples] == texts
    assert len({sample.user for sample in samples}) == 3


def test_every_question_without_a_profile_is_a_user_of_its_own(tmp_path: Path) -> None:
    questions, outputs = reviews(60)
    for question in questions:
        question["profile"] = []
    loaded = load(write_flat(tmp_path, "lamp3u", questions, outputs))
    assert len({sample.user for sample in loaded.samples}) == 60


def test_an_index_outside_is_an_error(tmp_path: Path) -> None:
    samples = load(write_flat(tmp_path, "lamp3u", *reviews(3))).samples
    for index in (3, -4):
        with pytest.raises(IndexError, match=rf"sample {index} of 3"):
            samples[index]


def test_samples_travel_to_other_processes(tmp_path: Path) -> None:
    samples = load(write_flat(tmp_path, "lamp3u", *reviews(3))).samples
    assert pickle.loads(pickle.dumps(samples[1])) == samples[1]  # noqa: S301
    assert list(pickle.loads(pickle.dumps(samples))) == list(samples)  # noqa: S301
    assert list(copy.deepcopy(samples)) == list(samples)


def test_a_profile_is_stored_once_however_many_questions_repeat_it(
    tmp_path: Path, own_cache: Path
) -> None:
    def size_of_profiles(count: int) -> int:
        questions, outputs = reviews(count, profile=50)
        for question in questions:
            question["profile"] = questions[0]["profile"]
        loaded = load(write_flat(tmp_path, "lamp3u", questions, outputs))
        assert len({sample.user for sample in loaded.samples}) == 1
        (path,) = folder_in(own_cache).glob("profiles-*")
        return path.stat().st_size

    assert size_of_profiles(1) == size_of_profiles(20)


def test_other_tools_can_read_it(tmp_path: Path, own_cache: Path) -> None:
    load(write_flat(tmp_path, "lamp3u", *reviews(3)))
    folder = folder_in(own_cache)
    assert folder.name.startswith("lamp3u-dev-")
    questions = feather.read_table(min(folder.glob("questions-*")))
    assert questions.column("id").to_pylist() == ["100", "101", "102"]
    profiles = feather.read_table(min(folder.glob("profiles-*")))
    assert profiles.column_names == ["id", "text", "score", "date"]
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))["about"]
    assert about["source"]["questions"]["path"] == str(tmp_path / "lamp3u" / "questions.json")


# ---------------------------------------------------------------- read once, until it changes
def refuse(*_: object) -> None:
    raise AssertionError("the json was read again")


def test_the_json_is_read_once_and_nothing_is_written_then(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_flat(tmp_path, "lamp3u", *reviews(3))
    first = load(root)
    assert names_in(own_cache) == WHOLE
    folder = folder_in(own_cache)
    changed = {path: path.stat().st_mtime_ns for path in [folder, *folder.iterdir()]}
    monkeypatch.setattr(data, "json_items", refuse)
    second = load(root)
    assert second.samples is not first.samples
    assert (list(second.samples), second.fingerprint) == (list(first.samples), first.fingerprint)
    assert {path: path.stat().st_mtime_ns for path in changed} == changed
    assert data.load(TASK, str(root)).samples is second.samples


@pytest.mark.parametrize("what", ["questions", "outputs"])
@pytest.mark.parametrize("how", ["size", "time", "neither, in its place", "neither, renamed"])
def test_a_file_that_changed_is_converted_anew(
    tmp_path: Path, own_cache: Path, what: str, how: str
) -> None:
    questions, outputs = reviews(3)
    root = write_flat(tmp_path, "lamp3u", questions, outputs)
    before = load(root)
    path = root / "lamp3u" / f"{what}.json"
    was = path.stat()
    if what == "questions":
        questions[0]["profile"][0]["text"] = "x" * len(questions[0]["profile"][0]["text"])
    else:
        outputs["golds"][0]["output"] = "5"
    # The other file stays untouched: its time would tell.
    path.write_text(json.dumps(questions if what == "questions" else outputs), encoding="utf-8")
    if how == "size":
        path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
        assert path.stat().st_size != was.st_size
    else:
        later = 1 if how == "time" else 0
        if how == "neither, renamed":  # as rsync -t, and cp -p to another name
            made = path.with_name("made")
            made.write_bytes(path.read_bytes())
            made.replace(path)
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns + later))
        assert path.stat().st_size == was.st_size
        assert path.stat().st_mtime_ns == was.st_mtime_ns + later
    after = data.load(TASK, str(root))
    assert after.fingerprint != before.fingerprint
    assert after.samples[0] != before.samples[0]
    assert names_in(own_cache) == WHOLE
    # Who reads the old ones yet goes on reading them.
    assert before.samples[1] == after.samples[1]


def test_another_format_is_not_read(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_flat(tmp_path, "lamp3u", *reviews(3))
    load(root)
    monkeypatch.setattr(columns, "_FORMAT", columns._FORMAT + 1)
    load(root)
    assert len(list((own_cache / "data").iterdir())) == 2


def test_a_file_that_changes_meanwhile_is_told(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_flat(tmp_path, "lamp3u", *reviews(3))
    path = root / "lamp3u" / "questions.json"

    def growing(*arguments: Any) -> Any:
        yield from json_items(*arguments)
        path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")

    json_items = data.json_items
    monkeypatch.setattr(data, "json_items", growing)
    with pytest.raises(data.DataError, match=r"questions.json: changed while it was read"):
        load(root)
    assert names_in(own_cache) == ["lock"]


def test_notes_are_told_again_at_every_load(tmp_path: Path) -> None:
    questions, outputs = reviews(2)
    questions[1]["profile"][1]["id"] = questions[1]["profile"][0]["id"]
    root = write_flat(tmp_path, "lamp3u", questions, outputs)
    (note,) = load(root).notes
    assert note == (
        f"{root}/lamp3u/questions.json: question '101': profile item '1010' stands twice; the "
        f"later one is called '1010#2' here"
    )
    assert load(root).notes == (note,)


def test_very_many_notes_take_neither_time_nor_room(tmp_path: Path, own_cache: Path) -> None:
    questions, outputs = reviews(1, profile=30_000)
    for item in questions[0]["profile"]:
        item["id"] = "7"
    loaded = load(write_flat(tmp_path, "lamp3u", questions, outputs))
    assert loaded.samples[0].profile[-1]["id"] == "7#30000"
    assert len(loaded.notes) == 10_001
    assert loaded.notes[-1].endswith("questions.json: 19999 more such notes")
    assert load(tmp_path).notes == loaded.notes


# ---------------------------------------------------------------- damage
def flipped(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x24
    path.write_bytes(content)


@pytest.fixture
def converted(tmp_path: Path, own_cache: Path) -> tuple[Path, Path]:
    """A data root, and the folder of what was made of it."""
    root = write_flat(tmp_path, "lamp3u", *reviews(3))
    load(root)
    return root, folder_in(own_cache)


@pytest.mark.parametrize("file", ["about.json", "questions-*.arrow", "profiles-*.arrow"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "longer", "text"])
def test_damaged_files_are_made_anew_with_one_warning(
    converted: tuple[Path, Path], file: str, damage: str
) -> None:
    root, folder = converted
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (path,) = folder.glob(file)
    if damage == "missing":
        path.unlink()
    else:
        whole = path.read_bytes()
        path.write_bytes(
            {
                "empty": b"",
                "cut": whole[: len(whole) // 2],
                "longer": whole + b" 1",
                "text": b"x" * len(whole),
            }[damage]
        )
    if (file, damage) == ("about.json", "missing"):
        loaded = load(root)  # as if nothing had been converted
    else:
        with pytest.warns(RuntimeWarning, match=r"lamp3u-dev-.* are damaged and are") as caught:
            loaded = load(root)
        assert len(caught) == 1
    assert [sample.target for sample in loaded.samples] == ["1", "2", "3"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("file", ["about.json", "questions-*.arrow", "profiles-*.arrow"])
def test_no_flipped_byte_goes_unseen(converted: tuple[Path, Path], file: str) -> None:
    root, folder = converted
    expected = list(load(root).samples)
    (path,) = folder.glob(file)
    late = 0
    positions = [*range(0, path.stat().st_size, 61), path.stat().st_size - 1]
    for position in positions:
        flipped(path, position)
        told = 0
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                samples = list(load(root).samples)
            except StoreError as error:
                # A batch of profiles is checked when it is read. The same process can go on.
                assert re.search(r"profiles-.* are damaged: .* bytes .* Run it again", str(error))
                samples = list(data.load(TASK, str(root)).samples)
                told = 1
        assert len(caught) + told == 1
        assert samples == expected
        late += told
    assert (late > 0) == (file == "profiles-*.arrow")
    assert late < len(positions)


# ---------------------------------------------------------------- several processes, and their end
def in_a_process(code: str, *arguments: object) -> subprocess.Popen[str]:
    here = Path(__file__).parent
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent), *sys.path])},
    )


def output_of(process: subprocess.Popen[str], standard_input: str = "") -> tuple[str, str]:
    out, err = process.communicate(standard_input, timeout=120)
    assert process.returncode == 0, err
    return out, err


def test_two_at_once_convert_once(tmp_path: Path, own_cache: Path) -> None:
    root = write_flat(tmp_path, "lamp3u", *reviews(3))
    code = """
    import logging, sys, time
    from qrag_tasks.tasks.lamp import data
    from test_columns import load

    convert = data._convert

    def slowly(*arguments):
        print("converted")
        time.sleep(1)
        return convert(*arguments)

    data._convert = slowly
    logging.basicConfig(format="%(message)s")
    sys.stdin.readline()
    print([sample.target for sample in load(sys.argv[1]).samples])
    """
    both = [in_a_process(code, root) for _ in range(2)]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = sorted(output_of(process) for process in both)
    targets = "['1', '2', '3']\n"
    assert [out for out, _ in said] == [targets, f"converted\n{targets}"]
    waiting = f"waiting for another process that reads {root}/lamp3u/questions.json\n"
    assert [err for _, err in said] == [waiting, ""]


def test_a_sample_can_be_read_in_a_fork(tmp_path: Path) -> None:
    root = write_flat(tmp_path, "lamp3u", *reviews(3, profile=50))
    out, _ = output_of(
        in_a_process(
            """
            import os, sys
            from test_columns import load
            samples = load(sys.argv[1]).samples
            samples[0]
            if os.fork() == 0:
                print(len(samples[2].profile), flush=True)
                os._exit(0)
            os.wait()
            """,
            root,
        )
    )
    assert out == "50\n"


KILLED = """
import os, random, shutil, signal, sys, time
from itertools import count
from pathlib import Path

import pyarrow  # once, not in every child
from lamp_files import reviews, write_flat
from qrag_tasks.tasks.corpus import arrow_files
from test_columns import load, names_in, WHOLE

root, cache = Path(sys.argv[1]), Path(os.environ["QRAG_CACHE"])
arrow_files._BATCH_SIZE = 2000

def forked(run):
    child = os.fork()
    if child == 0:
        try:
            run()
        finally:
            os._exit(0)
    return child

# What was converted before the file changed.
def old_state():
    shutil.rmtree(cache, ignore_errors=True)
    write_flat(root, "lamp3u", *reviews(7))
    os.waitpid(forked(lambda: load(root)), 0)
    assert names_in(cache) == WHOLE
    write_flat(root, "lamp3u", *reviews(40, profile=30))

# The next process reads all, and leaves nothing else.
def check():
    def run():
        loaded = load(root)
        total = sum(len(sample.profile) for sample in loaded.samples)
        print("whole" if (len(loaded.ids), total, names_in(cache)) == (40, 1200, WHOLE) else
              (len(loaded.ids), total, names_in(cache)), flush=True)
    os.waitpid(forked(run), 0)
"""


def test_killed_at_every_step_nothing_is_half_read(tmp_path: Path) -> None:
    """A kill before the first, second, third ... call that touches a file, until none is left."""
    process = in_a_process(
        KILLED
        + """
STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.listdir", "os.scandir", "fcntl.flock"}

def killed_at(step):
    left = step
    def hook(event, arguments):
        nonlocal left
        if event in STEPS:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
    sys.addaudithook(hook)
    load(root)

for step in count():
    old_state()
    _, status = os.waitpid(forked(lambda: killed_at(step)), 0)
    check()
    if not os.WIFSIGNALED(status):
        break
print(step)
""",
        tmp_path,
    )
    out, err = output_of(process)
    *told, steps = out.splitlines()
    assert set(told) == {"whole"}, err
    assert int(steps) >= 15


def test_killed_at_random_moments_nothing_is_half_read(tmp_path: Path) -> None:
    process = in_a_process(
        KILLED
        + """
old_state()
start = time.perf_counter()
os.waitpid(forked(lambda: load(root)), 0)
whole = time.perf_counter() - start
killed = 0
for _ in range(100):
    old_state()
    for _ in range(2):
        child = forked(lambda: load(root))
        time.sleep(random.random() * whole)
        os.kill(child, signal.SIGKILL)
        if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            killed += 1
        else:  # it had ended: the machine was busier when the time was taken
            whole *= 0.9
    check()
    if killed > 20:
        break
print(killed)
""",
        tmp_path,
    )
    out, err = output_of(process)
    *told, killed = out.splitlines()
    assert set(told) == {"whole"}, err
    assert int(killed) > 20


def test_files_are_on_the_disk_before_they_get_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill cannot show: a loss of power."""
    root = write_flat(tmp_path, "lamp3u", *reviews(3))
    calls: list[str] = []
    for owner, name in ((os, "fsync"), (Path, "replace")):
        original = getattr(owner, name)

        def recording(*arguments: Any, _name: str = name, _original: Any = original) -> Any:
            calls.append(_name)
            return _original(*arguments)

        monkeypatch.setattr(owner, name, recording)
    load(root)
    assert calls == ["fsync"] * 3 + ["replace"] * 3


# ---------------------------------------------------------------- room
def test_a_full_disk_is_told_and_harms_nothing(tmp_path: Path, own_cache: Path) -> None:
    """A limit on the size of files makes every write fail as a full disk does."""
    root = write_flat(tmp_path, "lamp3u", *reviews(3))
    load(root)
    folder = folder_in(own_cache)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_flat(tmp_path, "lamp3u", *reviews(4))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit in (0, 100, 1500):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            with pytest.raises(StoreError) as caught:
                load(root)
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert str(folder) in str(caught.value)
            assert "QRAG_CACHE" in str(caught.value)
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert len(load(root).samples) == 4
    assert names_in(own_cache) == WHOLE


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, own_cache: Path) -> None:
    own_cache.write_text("in the way")
    root = write_flat(tmp_path, "lamp3u", *reviews(3))
    with pytest.raises(StoreError, match=r"cannot be converted into .*own cache.*QRAG_CACHE"):
        load(root)


def test_a_broken_file_leaves_nothing(tmp_path: Path, own_cache: Path) -> None:
    questions, outputs = reviews(3)
    del questions[2]["profile"][3]["text"]
    with pytest.raises(data.DataError, match="field 'text' is missing"):
        load(write_flat(tmp_path, "lamp3u", questions, outputs))
    assert names_in(own_cache) == ["lock"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    code = """
    import re, sys
    from pathlib import Path
    from test_columns import load
    load(sys.argv[1])
    print(re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[0])
    """
    peaks, sizes = [], []
    # Below some 20 MB the peak still depends on the file; above, on malloc alone (8 MB or so).
    for count in (200, 600):
        questions, outputs = reviews(count, profile=100)
        for question in questions:
            for item in question["profile"]:
                item["text"] += " word" * 200
        root = write_flat(tmp_path / str(count), "lamp3u", questions, outputs)
        out, _ = output_of(in_a_process(code, root))
        peaks.append(int(out) / 1e3)
        sizes.append((root / "lamp3u" / "questions.json").stat().st_size / 1e6)
    assert sizes[1] - sizes[0] > 40
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 2
