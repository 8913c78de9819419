"""Manifests to feature files: decode, faces, models, weights, shards.

The version below says when finished feature files are out of date: raise it in the change that
makes extraction write something else, and the workflow extracts again at the next call.
"""

EXTRACT_VERSION = 2
