"""Weights of the models: one table, one cache, every file hash-checked before it is used."""

from extractors.weights.cache import Located, cache_dir, find, locate
from extractors.weights.fetch import describe_weights, fetch, fetch_profile
from extractors.weights.language import language_warning, model_language
from extractors.weights.table import WEIGHTS, Weight
from extractors.weights.verification import verify_profile

__all__ = [
    "WEIGHTS",
    "Located",
    "Weight",
    "cache_dir",
    "describe_weights",
    "fetch",
    "fetch_profile",
    "find",
    "language_warning",
    "locate",
    "model_language",
    "verify_profile",
]
