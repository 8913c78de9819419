"""The file formats between the rooms; `docs/formats.md` has them in prose.

This is the one part of `amanda` that `corpora` and `extractors` import.
"""
