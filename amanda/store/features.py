"""The feature file (HDF5): the contract between `extractors` and `amanda`, `docs/formats.md`.

One file a corpus. All utterances of a modality lie one after another in `values`
(sum T, layers, width); utterance n is `values[offsets[n]:offsets[n + 1]]`.
"""

from amanda.store.feature_reader import FeatureFile, ModalityData
from amanda.store.feature_schema import FORMAT, IDENTITY_ATTRS, VERSION
from amanda.store.feature_tables import ModalityTable, Ragged, UtteranceTable
from amanda.store.feature_writer import merge_features, write_features
from amanda.store.names import SPLITS, STATUSES

__all__ = [
    "FORMAT",
    "IDENTITY_ATTRS",
    "SPLITS",
    "STATUSES",
    "VERSION",
    "FeatureFile",
    "ModalityData",
    "ModalityTable",
    "Ragged",
    "UtteranceTable",
    "merge_features",
    "write_features",
]
