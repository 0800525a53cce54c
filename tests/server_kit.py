"""The engines' kit as far as it can be asked of a server."""

from __future__ import annotations

from qrag_tasks.testing.engines import EngineConformance


class ServerConformance(EngineConformance):
    """Inherit from it, and say by the fixture ``arguments`` which server is meant."""

    name = "server"
    # Its memory is not here to run out; it measures no likelihoods, and promises no same answers.
    test_memory_runs_out = None  # type: ignore[assignment]
    test_memory_runs_out_with_a_single_request = None  # type: ignore[assignment]
    test_likelihoods_are_the_references = None  # type: ignore[assignment]
    test_likelihoods_do_not_depend_on_the_company = None  # type: ignore[assignment]
    test_what_it_generates_is_the_likeliest = None  # type: ignore[assignment]
    test_it_answers_again_alike = None  # type: ignore[assignment]
