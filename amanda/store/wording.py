"""Words for messages."""


def counted(n: int, what: str) -> str:
    """A number and its noun: "1 speaker", "2 speakers", "0 more rows".

    >>> counted(1, "layer"), counted(12, "test speaker")
    ('1 layer', '12 test speakers')
    """
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
