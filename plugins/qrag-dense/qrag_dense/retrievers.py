"""The retrievers: ``contriever``, ``dpr`` and ``dense``.

A document's score is the dot product or the cosine of its vector and the query's; equal scores:
the earlier document first.

Sources: Contriever, arXiv 2112.09118; DPR, arXiv 2004.04906; Sentence-BERT, arXiv 1908.10084.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qrag_tasks.errors import RetrieverError, did_you_mean
from qrag_tasks.retrieval.base import Query, Ranking

from qrag_dense.cache import Vector
from qrag_dense.embedding import Embedder
from qrag_dense.models import find_model
from qrag_dense.specs import BATCH_TOKENS, EncoderSpec, Hardware

POOLINGS = ("auto", "mean", "cls", "pooler")
SIMILARITIES = ("auto", "dot", "cosine")

_AT_MOST = 512  # tokens of a text that Contriever and DPR read


class Side(NamedTuple):
    """How the texts of one side, queries or documents, become vectors."""

    embedder: Embedder
    prompt: str = ""


class _DenseRetriever(ABC):
    """Ranks by the similarity of vectors; how they are made is the subclasses' matter."""

    # The identity names the weights only. The options are part of a ranking's fingerprint as they
    # are written; what device=auto and dtype=auto come to is not, for only torch can tell, whose
    # import takes seconds and may bind the process to a GPU. So `auto` says: take the rankings of
    # a GPU and of a CPU for the same. The vectors themselves are kept apart by their real dtype.

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Rank the documents of every query; see :class:`~qrag_tasks.retrieval.base.Retriever`.

        All texts of the call are embedded together, each different text once.
        """
        asked = [query for query in queries if query.documents] if k != 0 else []
        if not asked:
            return [Ranking() for _ in queries]
        query_side, document_side, similarity = self._sides()
        # One entry where both sides are alike, so that their texts share batches.
        texts: dict[Side, set[str]] = {query_side: set(), document_side: set()}
        for query in asked:
            texts[query_side].add(query.text)
            texts[document_side].update(document.text for document in query.documents)
        vectors = {side: side.embedder.embed(texts[side], side.prompt) for side in texts}
        return [
            _ranking(query, vectors[query_side], vectors[document_side], similarity).best(k)
            for query in queries
        ]

    @abstractmethod
    def _sides(self) -> tuple[Side, Side, str]:
        """Return how queries and documents are embedded, and ``dot`` or ``cosine``."""


class Contriever(_DenseRetriever):
    """Contriever: mean pooling over the attention mask, dot product, at most 512 tokens.

    :param msmarco: take facebook/contriever-msmarco, which was fine-tuned, instead of
        facebook/contriever.
    :param model: a folder or another hub model instead; the protocol stays Contriever's.
    :param revision: branch, tag or commit of the hub model.
    :param device: ``auto``, ``cpu``, ``cuda`` or ``cuda:NUMBER``.
    :param dtype: ``auto`` (float16 on CUDA, float32 on a CPU), ``float32``, ``float16`` or
        ``bfloat16``.
    :param batch_tokens: how many tokens to encode at once.
    """

    def __init__(
        self,
        msmarco: bool = False,
        model: str = "",
        revision: str = "",
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        if msmarco and model:
            raise ValueError(f"msmarco is true and model is {model!r}: give one of them")
        official = "facebook/contriever-msmarco" if msmarco else "facebook/contriever"
        self._embedder = Embedder(
            find_model(model or official, revision),
            EncoderSpec(pooling="mean", at_most=_AT_MOST),
            Hardware(device, dtype, batch_tokens),
        )

    @property
    def identity(self) -> Mapping[str, str]:
        """The weights; see :class:`~qrag_tasks.retrieval.base.Retriever`."""
        return dict(self._embedder.source.identity)

    def _sides(self) -> tuple[Side, Side, str]:
        side = Side(self._embedder)
        return side, side, "dot"


class DPR(_DenseRetriever):
    """DPR trained on Natural Questions: pooler output, dot product, at most 512 tokens.

    The pooler output of a DPR encoder is the state of its first token, without the dense layer
    that BERT's pooler has.

    :param question_encoder_for_documents: encode the documents with the question encoder too, as
        arXiv 2406.10251 did. The context encoder is then neither needed nor part of the identity.
    :param question_model: a folder or another hub model as the question encoder.
    :param context_model: a folder or another hub model as the context encoder.
    :param question_revision: branch, tag or commit of the hub's question encoder.
    :param context_revision: branch, tag or commit of the hub's context encoder.
    :param device: ``auto``, ``cpu``, ``cuda`` or ``cuda:NUMBER``.
    :param dtype: ``auto`` (float16 on CUDA, float32 on a CPU), ``float32``, ``float16`` or
        ``bfloat16``.
    :param batch_tokens: how many tokens to encode at once.
    """

    def __init__(
        self,
        question_encoder_for_documents: bool = False,
        question_model: str = "facebook/dpr-question_encoder-single-nq-base",
        context_model: str = "facebook/dpr-ctx_encoder-single-nq-base",
        question_revision: str = "",
        context_revision: str = "",
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        hardware = Hardware(device, dtype, batch_tokens)
        self._questions = Embedder(
            find_model(question_model, question_revision, "question_model"),
            EncoderSpec("DPRQuestionEncoder", pooling="pooler", at_most=_AT_MOST),
            hardware,
        )
        self._contexts = self._questions
        if not question_encoder_for_documents:
            self._contexts = Embedder(
                find_model(context_model, context_revision, "context_model"),
                EncoderSpec("DPRContextEncoder", pooling="pooler", at_most=_AT_MOST),
                hardware,
            )

    @property
    def identity(self) -> Mapping[str, str]:
        """The weights; see :class:`~qrag_tasks.retrieval.base.Retriever`."""
        encoders = {"question": self._questions, "context": self._contexts}
        return {
            f"{role}_{key}": value
            for role, embedder in encoders.items()
            for key, value in embedder.source.identity.items()
        }

    def _sides(self) -> tuple[Side, Side, str]:
        return Side(self._questions), Side(self._contexts), "dot"


class Dense(_DenseRetriever):
    """Any sentence-transformers model, or the mean over a plain encoder.

    :param model: a folder, or a hub model (``owner/name``; a bare name means one of
        sentence-transformers').
    :param pooling: ``auto``: the model's own modules pool and normalize, and a model without any
        (no modules.json) is pooled by the mean. ``mean``, ``cls``, ``pooler``: so, over the
        model's transformer alone.
    :param similarity: ``dot``, ``cosine``, or ``auto``: as the model's config says, else cosine.
    :param max_tokens: texts are cut after so many tokens; 0: the model's own number.
    :param query_prompt: what stands before each query: ``none``; the name of a prompt in the
        model's config; any text, to which one space is added (``query:``). ``auto``: the config's
        prompt for queries, if it has one.
    :param document_prompt: the same for documents.
    :param revision: branch, tag or commit of the hub model.
    :param device: ``auto``, ``cpu``, ``cuda`` or ``cuda:NUMBER``.
    :param dtype: ``auto`` (float16 on CUDA, float32 on a CPU), ``float32``, ``float16`` or
        ``bfloat16``.
    :param batch_tokens: how many tokens to encode at once.
    """

    def __init__(
        self,
        model: str,
        pooling: str = "auto",
        similarity: str = "auto",
        max_tokens: int = 0,
        query_prompt: str = "auto",
        document_prompt: str = "auto",
        revision: str = "",
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        _check_choice("pooling", pooling, POOLINGS)
        _check_choice("similarity", similarity, SIMILARITIES)
        if not model:
            raise ValueError("model is empty, expected a folder or a hub model (owner/name)")
        self._similarity = similarity
        self._query_prompt = query_prompt
        self._document_prompt = document_prompt
        self._embedder = Embedder(
            find_model(model, revision, owner="sentence-transformers"),
            EncoderSpec(pooling=pooling, max_tokens=max_tokens, at_most=0),
            Hardware(device, dtype, batch_tokens),
        )

    @property
    def identity(self) -> Mapping[str, str]:
        """The weights; see :class:`~qrag_tasks.retrieval.base.Retriever`."""
        return dict(self._embedder.source.identity)

    def _sides(self) -> tuple[Side, Side, str]:
        source = self._embedder.source
        config = source.config("config_sentence_transformers.json")
        similarity = self._similarity
        if similarity == "auto":
            similarity = config.get("similarity_fn_name") or "cosine"
        if similarity not in SIMILARITIES:
            raise RetrieverError(
                f"the model {source.name!r} asks for the similarity {similarity!r}, which is not "
                f"offered: write similarity=dot or similarity=cosine"
            )
        return (
            Side(self._embedder, _prompt(self._query_prompt, config, ("query",))),
            Side(
                self._embedder,
                # The names that SentenceTransformer.encode_document looks for.
                _prompt(self._document_prompt, config, ("document", "passage", "corpus")),
            ),
            similarity,
        )


def _check_choice(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(
            f"{option} is {value!r}, expected one of {', '.join(known)}."
            f"{did_you_mean(value, known)}"
        )


def _prompt(told: str, config: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the text to put before each text.

    :param told: the option, as the user wrote it.
    :param config: of a sentence-transformers model.
    :param names: of the prompts in it that ``auto`` means, the first that is there.
    """
    prompts = config.get("prompts") or {}
    if told == "auto":
        default = config.get("default_prompt_name")
        found = [prompts[name] for name in (*names, default) if name in prompts]
        return str(found[0]) if found else ""
    if told in prompts:
        return str(prompts[told])
    return "" if told in ("none", "") else f"{told} "


def _ranking(
    query: Query,
    query_vectors: Mapping[str, Vector],
    document_vectors: Mapping[str, Vector],
    similarity: str,
) -> Ranking:
    if not query.documents:
        return Ranking()
    scores = similarities(
        query_vectors[query.text],
        np.stack([document_vectors[document.text] for document in query.documents]),
        similarity,
    )
    order = np.argsort(-scores, kind="stable").tolist()
    return Ranking(tuple(query.documents[i].id for i in order), tuple(scores[order].tolist()))


def similarities(query: Vector, documents: Vector, similarity: str) -> NDArray[np.float64]:
    """Return the similarity of a query and each document, shape ``(n,)``.

    Each row is summed by itself in float64, not by a matrix product, whose rounding depends on a
    row's place: equal vectors get equal scores, and then the order of the documents decides.

    :param query: shape ``(dimensions,)``.
    :param documents: shape ``(n, dimensions)``.
    :param similarity: ``dot``, or ``cosine``; the cosine with a vector of zeros is 0.
    """
    q, d = query.astype(np.float64), documents.astype(np.float64)
    dots: NDArray[np.float64] = (d * q).sum(axis=1)
    if similarity == "dot":
        return dots
    lengths = np.sqrt((d * d).sum(axis=1)) * np.sqrt((q * q).sum())
    cosines = np.zeros_like(dots)
    np.divide(dots, lengths, out=cosines, where=lengths > 0)
    return cosines
