"""What is said: sentences with slots, by class, and one set of wordings a corpus.

A wording is a module here with a `WORDING`, found by its file name (`LexicalTraits.wording`).
"""

from corpora.standin.words.wording import Wording, compose, load_wording

__all__ = ["Wording", "compose", "load_wording"]
