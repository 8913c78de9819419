"""Measurements of the product: each module prints figures, its last line one JSON object."""
