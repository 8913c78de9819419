"""Amanda: modality-balanced unsupervised domain adaptation for multimodal emotion recognition."""

__version__ = "0.1.0"

# When finished files are out of date: raise a version in the change that makes training, or the
# report, write something else, and the workflow runs that stage again at the next call.
TRAIN_VERSION = 3
REPORT_VERSION = 2
