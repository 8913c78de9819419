"""Mending texts whose Windows-1252 quotes were read in another encoding.

A curly quote is one byte in Windows-1252 (0x92) and three in UTF-8 (e2 80 99). Read in the wrong
one of the two it becomes a control character, or three letters:

    it’s  →  it\\x92s      the byte taken for Latin-1
    it’s  →  itâ€™s       the three bytes taken for Windows-1252, or (itâ\\x80\\x99s) for Latin-1
"""

import re

# Five bytes have no letter in Windows-1252.
_LETTER_OF = {
    byte: bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in range(256)
}
_BYTE_OF = {chr(byte): byte for byte in range(256)} | {c: byte for byte, c in _LETTER_OF.items()}

# What the bytes of a character of two or three bytes look like: a first one, then 80 to bf.
_NEXT = "[" + re.escape("".join(c for c, byte in _BYTE_OF.items() if 0x80 <= byte < 0xC0)) + "]"
_MISREAD = re.compile(f"[\\xc2-\\xdf]{_NEXT}|[\\xe0-\\xef]{_NEXT}{{2}}")
_CONTROL = re.compile("[\\x80-\\x9f]")


def mend(text: str) -> str:
    """`text` with misread characters put right; any other text comes back as it is.

    >>> mend("Y\\x92know, itâ€™s")
    'Y’know, it’s'
    """
    return _CONTROL.sub(lambda m: _LETTER_OF[ord(m[0])], _MISREAD.sub(_as_utf8, text))


def _as_utf8(match: re.Match[str]) -> str:
    try:
        return bytes(_BYTE_OF[letter] for letter in match[0]).decode("utf-8")
    except UnicodeDecodeError:
        return match[0]
