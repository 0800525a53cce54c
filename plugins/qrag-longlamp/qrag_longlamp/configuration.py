"""One configuration of LongLaMP's data set: what its files are called, and its columns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Configuration:
    """The files of one kind of text in one setting.

    :ivar config: its name on the hub, and of its folder below a data root.
    :ivar user: the column that says who the user is.
    :ivar date: the field of a profile item that is its date, where there is one.
    :ivar public: whether LongLaMP gives the texts away; e-mails belong to the LDC.
    """

    config: str
    user: str
    date: str | None = None
    public: bool = True
