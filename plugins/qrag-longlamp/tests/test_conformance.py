"""The tasks held to their contract on the sample, by the kit that qrag-tasks ships."""

from __future__ import annotations

from qrag_tasks.testing import TaskConformance


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
