"""Words that messages and tables share."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which is in the singular for 1 alone: ``2,487 answers``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
