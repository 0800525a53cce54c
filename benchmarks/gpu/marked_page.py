"""A page of the documentation, of which a benchmark writes the part between two marks."""

from __future__ import annotations


def between_marks(page: str, text: str, marks: tuple[str, str]) -> str:
    """Return a page with what stands between its two marks replaced."""
    before, begin, rest = page.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise SystemExit(f"the page lacks the marks {marks[0]} and {marks[1]}")
    return f"{before}{begin}\n{text}\n{end}{after}"
