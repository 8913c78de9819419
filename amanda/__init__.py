"""Amanda: modality-balanced unsupervised domain adaptation for multimodal emotion recognition."""

__version__ = "0.1.0"
