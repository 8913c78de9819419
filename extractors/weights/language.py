"""Which language a model was trained on, and a warning when a corpus speaks another."""

from pathlib import Path

import yaml

from amanda.store.errors import InputError
from extractors.profiles import AcousticSettings, LexicalSettings
from extractors.weights.cache import locate
from extractors.weights.table import WEIGHTS

MULTILINGUAL = "multilingual"
SUGGESTIONS = {"lexical": "FacebookAI/xlm-roberta-base", "acoustic": "whisper-base"}


def model_language(settings: LexicalSettings | AcousticSettings) -> str | None:
    """Language code of a model ("en"), "multilingual", or None when nothing says.

    Taken from the settings, else the table of weights, else the model card in the model's folder.
    """
    if settings.language:
        return settings.language
    if settings.model in WEIGHTS:
        return WEIGHTS[settings.model].language or None
    try:
        folder = locate(settings.model, settings.revision)
    except InputError:
        return None
    return _card_language(folder / "README.md")


def _card_language(card: Path) -> str | None:
    """`language:` of a model card's front matter."""
    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if not text.startswith("---"):
        return None
    try:
        front = yaml.safe_load(text.split("---", 2)[1])
    except yaml.YAMLError:
        return None
    language = front.get("language") if isinstance(front, dict) else None
    if isinstance(language, list):
        return MULTILINGUAL if len(language) > 1 else (str(language[0]) if language else None)
    return str(language) if language else None


def language_warning(
    modality: str, settings: LexicalSettings | AcousticSettings, language: str
) -> str | None:
    """A sentence when the model's language is not `language`, the corpus's; else None.

    Args:
        language: the corpus's, as "de" or "de-CH"; "" when the manifest does not say.
    """
    model = model_language(settings)
    spoken = language.strip().lower().replace("_", "-").split("-")[0]
    if not spoken or model is None or model.lower() in (MULTILINGUAL, "multi"):
        return None
    if model.lower().replace("_", "-").split("-")[0] == spoken:
        return None
    return (
        f"{modality}: the corpus is in '{language}' and the model {settings.model} was trained on "
        f"'{model}'; a multilingual model such as {SUGGESTIONS[modality]} fits better"
    )
