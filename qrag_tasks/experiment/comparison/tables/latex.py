"""A comparison in LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "↑": "$\\uparrow$",
    "↓": "$\\downarrow$",
    "±": "$\\pm$",
}


def latex(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in LaTeX, for the package booktabs."""

    def line(cells: Sequence[str]) -> str:
        escaped = ["".join(_LATEX.get(c, c) for c in cell) for cell in cells]
        return " & ".join(escaped) + " \\\\\n"

    return (
        f"\\begin{{tabular}}{{{'l' * len(headings)}}}\n\\toprule\n"
        + line(headings)
        + "\\midrule\n"
        + "".join(map(line, rows))
        + "\\bottomrule\n\\end{tabular}\n"
    )
