"""Downloading LaMP: which files, fetching, checking, recording."""

from qrag_tasks.tasks.lamp.download.download import LICENCE, Download, Outcome, free_bytes
from qrag_tasks.tasks.lamp.download.fetch import Patience, Progress
from qrag_tasks.tasks.lamp.download.files import LampFile, lamp_files

__all__ = [
    "LICENCE",
    "Download",
    "LampFile",
    "Outcome",
    "Patience",
    "Progress",
    "free_bytes",
    "lamp_files",
]
