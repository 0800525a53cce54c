"""Fixtures: LaMP files written on the spot, a real tiny model, and the lm_eval command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings
from lamp_files import papers, reviews, write_flat
from planted_lm_eval import plant
from plugin_files import InstallPlugin, put_plugin
from random_models import save_random_model
from warm_python import LIBRARIES, WarmPython, ask_the_machine_once

from qrag_tasks import plugins
from qrag_tasks.locations import mini_root

# A slow machine is no failure.
settings.register_profile("qrag", deadline=None)
settings.load_profile("qrag")

# Nothing in a test may load from a hub.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's own settings."""
    for name in (
        *("QRAG_DATA", "QRAG_LAMP_URL", "QRAG_AUTOLOAD"),
        *("QRAG_BLOCK_PLUGINS", "QRAG_STRICT_PLUGINS"),
        # readline, which pytest imports, sets it to 80 for the processes of xdist.
        "COLUMNS",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache folder for the session: a profile is ranked once."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["QRAG_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def machine() -> None:
    """The machine does not change while it is tested."""
    ask_the_machine_once()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real reviews and papers, which the project may not carry."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data of ../shared/data is not here")
    return SHARED_DATA


@pytest.fixture
def small_data(tmp_path: Path) -> Path:
    """A data root with a few reviews and papers."""
    write_flat(tmp_path / "data", "lamp3u", *reviews())
    return write_flat(tmp_path / "data", "lamp5u", *papers())


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InstallPlugin]:
    """Install a plugin of a third party: its name, and the code of its one module."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    modules: list[str] = []

    def put(name: str, code: str, requires: str = "") -> None:
        modules.append(name)
        put_plugin(folder, name, code, requires)
        plugins.forget()

    yield put
    for name in modules:
        sys.modules.pop(name, None)
    plugins.forget()


CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real Llama with random weights and a trained tokenizer, saved to disk; window 1024."""
    torch = pytest.importorskip("torch", reason="the hf extra is not installed")
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    special = ["<|end|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    texts = [path.read_text(encoding="utf-8") for path in mini_root().rglob("dev_questions.json")]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=1024, special_tokens=special, initial_alphabet=alphabet),
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|end|>", pad_token="<|pad|>", chat_template=CHAT_TEMPLATE
    )
    return save_random_model(
        "Llama",
        tokenizer,
        tmp_path_factory.mktemp("models") / "tiny-llama",
        seed=0,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        dtype=torch.bfloat16,
    )


@pytest.fixture(scope="session")
def few_tasks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ``PYTHONPATH`` with an lm_eval that has no tasks of its own.

    A run that asks for tasks of others has lm_eval read its own first: 14,000 files, in some ten
    seconds.
    """
    site = plant(tmp_path_factory.mktemp("planted"))
    return os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))


@pytest.fixture(scope="session")
def bare_python(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmPython]:
    """Runs commands of Python in processes that have torch imported already, but no lm_eval."""
    bare = WarmPython(tmp_path_factory.mktemp("bare"), LIBRARIES)
    yield bare
    bare.close()


@pytest.fixture(scope="session")
def warm_python(
    bare_python: WarmPython, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WarmPython]:
    """Runs commands of Python in processes that have torch and lm_eval imported already."""
    warm = WarmPython(tmp_path_factory.mktemp("warm"), base=bare_python)
    yield warm
    warm.close()


@pytest.fixture
def ray_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clusters of Ray that are started run what they are given at once, beside other work.

    By default Ray's workers, and the arms that they start, have a niceness of 15: where others
    compute, they get next to nothing of a processor.
    """
    monkeypatch.setenv("RAY_worker_niceness", "0")
    # A node that is gone is asked five times whether it is there, once in three seconds.
    monkeypatch.setenv("RAY_health_check_period_ms", "300")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture
def warm_arms(warm_python: WarmPython, monkeypatch: pytest.MonkeyPatch) -> None:
    """The arms of a grid are processes that have torch and lm_eval imported already."""
    from qrag_tasks.experiment.running import processes

    warm = SimpleNamespace(**vars(subprocess))
    warm.Popen = warm_python.popen
    monkeypatch.setattr(processes, "subprocess", warm)


@pytest.fixture
def lm_eval_command(warm_python: WarmPython) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``lm_eval`` as a user does, in a process of its own.

    By default that process finds everything imported; with ``cold`` it does not.
    """

    def run(
        *arguments: object, cold: bool = False, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        command = ["-m", "lm_eval", *map(str, arguments)]
        # The package that is installed, and not the checkout that the tests are in.
        env = {**os.environ, "PYTHONSAFEPATH": "1", **environment}
        if not cold:
            return warm_python.run(command, env)
        return subprocess.run(
            [sys.executable, *command],
            env=env,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run
