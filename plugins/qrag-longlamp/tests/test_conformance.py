"""The tasks held to their contract on the sample, by the kit that qrag-tasks ships."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from qrag_tasks.testing import TaskConformance
from qrag_tasks.testing.checks import tasks as checks


@pytest.fixture(autouse=True, scope="module")
def asked_once() -> Iterator[None]:
    """What listing the plugins imports is the same question for every task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "examine", cache(checks.examine))
        yield


class TestAbstractUser(TaskConformance):
    spec = "longlamp-abstract-user:mini"


class TestAbstractTemporal(TaskConformance):
    spec = "longlamp-abstract-temporal:mini"


class TestReviewUser(TaskConformance):
    spec = "longlamp-review-user:mini"


class TestReviewTemporal(TaskConformance):
    spec = "longlamp-review-temporal:mini"


class TestTopicUser(TaskConformance):
    spec = "longlamp-topic-user:mini"


class TestTopicTemporal(TaskConformance):
    spec = "longlamp-topic-temporal:mini"


class TestEmailUser(TaskConformance):
    spec = "longlamp-email-user:mini"


class TestEmailTemporal(TaskConformance):
    spec = "longlamp-email-temporal:mini"
