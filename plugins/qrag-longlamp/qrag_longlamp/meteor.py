"""METEOR, as LongLaMP computes it: NLTK's, over NLTK's words, with synonyms out of WordNet.

Published scores come from ``evaluate``'s metric ``meteor``, which calls
:func:`nltk.translate.meteor_score.single_meteor_score` on the words of
:func:`nltk.tokenize.word_tokenize`, with alpha 0.9, beta 3 and gamma 0.5. The same two functions
are called here. They match words that are equal in lower case, then words with one Porter stem,
then words of which WordNet has one among the synonyms of the other. The last step is given stems,
as the second hands them on, and so misses synonyms that are not their own stems. Without WordNet
it would be missing altogether, and the score another one, so that this is an error. ``evaluate``
gets the data from the network by itself; nothing is downloaded here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from nltk.corpus import wordnet
from nltk.stem.porter import PorterStemmer
from nltk.tokenize import word_tokenize
from nltk.translate.meteor_score import single_meteor_score
from qrag_tasks.errors import DataError

_WORDS_KEPT = 1 << 16
"""Of a language, words whose stem and synonyms are looked up once."""
_COMMAND = "python -m nltk.downloader wordnet punkt_tab"


def meteor(answer: str, gold: str) -> float:
    """Return METEOR of an answer, 0 to 1; 0 where no word of it matches.

    :raises DataError: where NLTK's data are missing or damaged.
    """
    check_data()
    words = word_tokenize(gold), word_tokenize(answer)
    return float(single_meteor_score(*words, stemmer=_Stems(), wordnet=_Synonyms()))


class _Stems:
    """NLTK's default stemmer, which is asked for each word once."""

    stem = staticmethod(lru_cache(_WORDS_KEPT)(PorterStemmer().stem))


class _Synonyms:
    """NLTK's WordNet, which is asked for each word once."""

    @staticmethod
    @lru_cache(_WORDS_KEPT)
    def synsets(word: str) -> Sequence[Any]:
        found: Sequence[Any] = wordnet.synsets(word)
        return found


@lru_cache(maxsize=1)
def check_data() -> None:
    """Check that NLTK's data are there and can be read; once a process, as this takes a second.

    :raises DataError: naming what is missing, and the command that gets it.
    """
    uses: tuple[tuple[str, str, Callable[[], Any]], ...] = (
        ("wordnet", "the corpus WordNet", lambda: wordnet.synsets("word")),
        ("punkt_tab", "the sentence splitter punkt_tab", lambda: word_tokenize("Yes. No.")),
    )
    for name, what, use in uses:
        try:
            use()
        except (LookupError, OSError, ValueError, AssertionError) as error:
            missing = isinstance(error, LookupError)
            state = "is not on this machine" if missing else f"cannot be read: {error}"
            raise DataError(
                f"METEOR needs {what} (NLTK's data package {name}), which {state}.\n"
                f"  to get it:       {_COMMAND}\n"
                f"  with no network: run that elsewhere, copy the folder nltk_data that it makes, "
                f"and name it in NLTK_DATA\n"
                f"  without METEOR:  QRAG_LONGLAMP_METEOR=0; ROUGE alone is then scored"
            ) from None
