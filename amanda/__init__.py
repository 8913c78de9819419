"""Amanda: modality-balanced unsupervised domain adaptation for multimodal emotion recognition."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amanda.api import train as train
    from amanda.predictor import load as load
    from amanda.store.features import FeatureFile as FeatureFile

__version__ = "0.1.0"

# When finished files are out of date: raise a version in the change that makes training, or the
# report, write something else, and the workflow runs that stage again at the next call.
TRAIN_VERSION = 3
REPORT_VERSION = 4

_OFFERED = {
    "FeatureFile": "amanda.store.features",
    "load": "amanda.predictor",
    "train": "amanda.api",
}


def __getattr__(name: str) -> Any:
    """`amanda.train` and the like, imported when asked for: `import amanda` alone costs nothing."""
    if name not in _OFFERED:
        raise AttributeError(f"module 'amanda' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_OFFERED[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_OFFERED])
