"""Adds up what every environment's tests found, and names the tests that no environment ran.

Reads ``FOLDER/ENVIRONMENT/SUITE.xml``, pytest's JUnit reports, as tox.ini has them written. Exit
code 1 where nothing was run, or where a test ran nowhere for a reason that is not a known one.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

KNOWN_REASONS = {
    "needs a GPU": "no machine of continuous integration has one",
    "the real data of ../shared/data is not here": "its licence forbids to pass it on",
    "another kernel( or another version)? was chosen here": "the processor decides which",
    "it answers queries in English alike too: see differs_by_query": "nothing to check in it",
    r"engine=\w+ alone loads its precisions, and has a kit of its own": "tests/engines runs it",
    r"there are no checkpoints in .+": "its format is made on loading and nowhere kept",
    "the engine does not say that it tells its distributions": "a server's API does not",
    "it takes no other value for any option that is a number or true/false": "nothing to check",
    "its answers are no closed set": "they have no likelihoods to score",
    "the first samples have no documents": "a task of whole histories has none to show",
}
"""Pattern of a skip's whole reason -> why no environment can be expected to run the test."""

RAN = ("passed", "failed", "expected to fail")


@dataclass
class Tally:
    """What was found: a case is a test with its parameters, a run is a case in an environment.

    :ivar results: how often each result was seen.
    :ivar cases: suite and name of every test that some environment ran.
    :ivar skipped: suite and name of a test, or of a file of tests -> the reasons for skipping it.
    """

    environments: set[str] = field(default_factory=set)
    results: Counter[str] = field(default_factory=Counter)
    cases: set[tuple[str, str]] = field(default_factory=set)
    skipped: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, environment: str, suite: str, case: str, result: str, reason: str) -> None:
        """Count one result of one test in one environment."""
        self.environments.add(environment)
        self.results[result] += 1
        if result in RAN:
            self.cases.add((suite, case))
        else:
            self.skipped[suite, case].add(reason)

    def never_run(self) -> dict[str, set[str]]:
        """Return test -> the reasons for skipping it, of those that no environment ran."""
        # A file that is skipped whole is one entry; elsewhere its tests are entries of their own,
        # whose dotted name begins with the file's, be they functions or in a class.
        files = {(suite, name) for suite, case in self.cases for name in _beginnings(case)}
        return {
            f"{suite}: {case}": reasons
            for (suite, case), reasons in sorted(self.skipped.items())
            if (suite, case) not in self.cases | files
        }

    def __str__(self) -> str:
        runs = sum(self.results[result] for result in RAN)
        told = ", ".join(f"{self.results[result]:,} {result}" for result in RAN)
        return (
            f"tests: {len(self.cases):,} cases, {runs:,} runs in {len(self.environments)} "
            f"environments: {told}; {self.results['skipped']:,} skipped, "
            f"{len(self.never_run()):,} of them run nowhere"
        )


def _beginnings(case: str) -> Iterator[str]:
    """Yield the dotted names that a test's begins with: ``a.b.TestC``, ``a.b`` and ``a``."""
    name = case.partition("::")[0]
    while name:
        yield name
        name = name.rpartition(".")[0]


def results(report: Path) -> Iterator[tuple[str, str, str]]:
    """Read one report: a test's name, what became of it, and why it was skipped."""
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - written by pytest here
        name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            yield name, "failed", ""
        elif skip is None:
            yield name, "passed", ""
        elif skip.get("type") == "pytest.xfail":
            yield name, "expected to fail", ""
        else:
            yield name, "skipped", _reason(skip)


def _reason(skip: ElementTree.Element) -> str:
    reason = skip.get("message", "")
    if reason == "collection skipped":  # a whole file: its text is (path, line, reason)
        reason = ast.literal_eval(skip.text or "")[2]
    return reason.removeprefix("Skipped: ")


def tally(folder: Path) -> Tally:
    """Add up all reports in a folder."""
    found = Tally()
    for report in sorted(folder.glob("*/*.xml")):
        for name, result, reason in results(report):
            found.add(report.parent.name, report.stem, name, result, reason)
    return found


def main() -> int:
    """Print the tests that ran nowhere, each with its reasons, and the closing line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--allow", action="append", default=[], metavar="PATTERN")
    given = parser.parse_args()
    allowed = [*KNOWN_REASONS, *given.allow]
    found = tally(given.folder)
    wrong = not found.cases
    for test, reasons in found.never_run().items():
        known = any(re.fullmatch(pattern, reason) for pattern in allowed for reason in reasons)
        wrong = wrong or not known
        mark = "" if known else "ERROR: "
        print(f"{mark}no environment ran {test} ({'; '.join(sorted(reasons))})")
    print(found)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
