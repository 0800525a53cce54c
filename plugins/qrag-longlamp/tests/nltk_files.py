"""A WordNet of a few words and a sentence splitter that knows nothing, in NLTK's forms.

Made up here, as tests load nothing from a network. What a real WordNet adds are more synonyms.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SYNONYMS: Sequence[Sequence[str]] = (("huge", "big", "large"), ("word",), ("always", "forever"))
"""Words of which each is among the synonyms of the others."""


def write_wordnet(folder: Path, synonyms: Sequence[Sequence[str]] = SYNONYMS) -> None:
    """Write a WordNet 3.0 of adjectives alone; see the manual page wndb(5WN) for the form."""
    folder.mkdir(parents=True)
    data = "  1 WordNet 3.0 Copyright of nobody: made up for tests.  \n"
    index = []
    for words in synonyms:
        place = len(data)
        lemmas = " ".join(f"{word} 0" for word in words)
        data += f"{place:08d} 00 a {len(words):02x} {lemmas} 000 | made up\n"
        index += [f"{word} a 1 0 1 0 {place:08d}" for word in words]
    for part in ("adj", "adv", "noun", "verb"):
        holds = part == "adj"
        (folder / f"data.{part}").write_text(data if holds else "", "utf-8")
        lines = "".join(f"{line}\n" for line in sorted(index)) if holds else ""
        (folder / f"index.{part}").write_text(lines, "utf-8")
        (folder / f"{part}.exc").write_text("", "utf-8")
    (folder / "lexnames").write_text("00\tadj.all\t3\n", "utf-8")
    for name in ("index.sense", "cntlist.rev"):
        (folder / name).write_text("", "utf-8")


def write_splitter(folder: Path) -> None:
    """Write a sentence splitter without abbreviations: a full stop ends a sentence."""
    folder.mkdir(parents=True)
    for name in ("collocations.tab", "sent_starters.txt", "abbrev_types.txt", "ortho_context.tab"):
        (folder / name).write_text("", "utf-8")


def write_all(folder: Path) -> None:
    """Write both where NLTK looks for them."""
    write_wordnet(folder / "corpora" / "wordnet")
    write_splitter(folder / "tokenizers" / "punkt_tab" / "english")
    # NLTK reads nothing that others may write, as some users' umask has it.
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
