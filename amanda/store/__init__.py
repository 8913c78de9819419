"""The file formats between the rooms: manifest, features, results. `docs/formats.md` has them in prose.

This is the one part of `amanda` that `corpora` and `extractors` import.
"""
