"""Gates of a comparison as JUnit's XML, which services of continuous integration show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from qrag_tasks.experiment.comparison.gated_rows import GatedRow
from qrag_tasks.experiment.comparison.gates import Outcome, is_untested

# XML 1.0 has no other characters.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(outcomes: Sequence[Outcome], title: str) -> str:
    """Return a test suite for each arm, and a test case for each row that a gate was asked of.

    A row that fails a gate is a failure, which tells the gates and the row's figures; one that
    passes because no test could be made of it is skipped.

    :param title: of the whole.
    """
    suites: dict[str, list[GatedRow]] = {}
    for outcome in outcomes:
        for row in outcome.rows:
            rows = suites.setdefault(row.arms, [])
            if row not in rows:
                rows.append(row)
    root = Element("testsuites", _attributes(name=title))
    counts = [_suite(root, arms, rows, outcomes) for arms, rows in suites.items()]
    _count(root, [sum(column) for column in zip(*counts, strict=True)])
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _suite(
    root: Element, arms: str, rows: Sequence[GatedRow], outcomes: Sequence[Outcome]
) -> list[int]:
    suite = SubElement(root, "testsuite", _attributes(name=arms))
    failures = skipped = 0
    for row in rows:
        name = f"{row.where}: {row.names['metric'] or 'answers'}"
        case = SubElement(suite, "testcase", _attributes(classname=arms, name=name, time="0"))
        failed = [outcome.gate.text for outcome in outcomes if row in outcome.failed]
        if failed:
            failures += 1
            failure = SubElement(case, "failure", _attributes(message=row.text, type="gate"))
            failure.text = _clean(f"{arms}\n{name}\n{row.text}\nfails if: {'; '.join(failed)}")
        elif is_untested(row):
            skipped += 1
            SubElement(case, "skipped", _attributes(message=row.text))
    counts = [len(rows), failures, skipped]
    _count(suite, counts)
    return counts


def _count(element: Element, counts: Sequence[int]) -> None:
    for name, count in zip(("tests", "failures", "skipped"), counts, strict=True):
        element.set(name, str(count))
    element.set("errors", "0")


def _attributes(**texts: str) -> dict[str, str]:
    return {name: _clean(text) for name, text in texts.items()}


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
