"""What a reader from outside must be told: methods, validators and corpora, in a sentence each."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from markupsafe import Markup

from amanda.report.markup import Text, bullets
from amanda.store.names import STANDIN
from amanda.validators import VALIDATORS

METHODS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "direct_transfer": ("D.T.", "direct transfer: trained on the source’s labels alone."),
        "dann": (
            "DANN",
            "representations that a domain discriminator cannot tell apart (Ganin et al. 2016).",
        ),
        "cdan": (
            "CDAN",
            "as DANN, and the discriminator sees the predictions too (Long et al. 2018).",
        ),
        "cdan_e": ("CDAN+E", "CDAN in which sure predictions weigh more."),
        "mada": ("MADA", "as DANN, with one discriminator a class (Pei et al. 2018)."),
        "amanda": (
            "A-N (p), A-L (t)",
            "Amanda: brings each modality’s covariance in the target near that in the source, and "
            "the mean prediction near a label prior. A surrogate, a p-norm or a log-exp, joins the "
            "modalities’ alignment losses; p = 1 adds them up, others draw harder at what is worse "
            "aligned.",
        ),
        "supervised": ("Supervised", "trained on the target’s own labels: an upper bound."),
    }
)
"""By method: how it is printed, and what it is."""

CORPORA: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ie": (
            "IEMOCAP",
            "Acted dialogues, scripted and improvised, of ten speakers in a laboratory (Busso et "
            "al. 2008).",
        ),
        "msp": (
            "MSP-IMPROV",
            "Acted dialogues, mostly improvised around given sentences, of twelve speakers in a "
            "laboratory (Busso et al. 2017).",
        ),
        "meld": (
            "MELD",
            "Scenes of one television series, with several people in the picture, music and "
            "laughter (Poria et al. 2019).",
        ),
        "mosei": (
            "CMU-MOSEI",
            "Monologues from the web, cut into segments that raters scored for each emotion (Zadeh "
            "et al. 2018).",
        ),
    }
)
"""By the corpus's name here: its own name, and what it holds."""


def explain_methods(names: Iterable[str]) -> Markup:
    """A list of those of the methods that are known here; a method of the user's is left out."""
    asked = set(names)
    items: list[Text] = [
        Markup("<b>{}</b>: {}").format(label, meaning)
        for name, (label, meaning) in METHODS.items()
        if name in asked
    ]
    return bullets(items) if items else Markup("")


def explain_validators(names: Iterable[str]) -> str:
    """One sentence on each validator that is asked for."""
    known = [VALIDATORS[name] for name in names if name in VALIDATORS]
    return "; ".join(f"{each.title}, {each.meaning}" for each in known) + "." if known else ""


def corpus_title(corpus: str, origin: str) -> str:
    """Its name here, and what it is called elsewhere.

    >>> corpus_title("ie", "recorded"), corpus_title("ie", "stand-in"), corpus_title("mine", "")
    ('ie: IEMOCAP', 'ie: generated in IEMOCAP’s layout', 'mine')
    """
    if corpus not in CORPORA:
        return corpus
    name, _ = CORPORA[corpus]
    return f"{corpus}: generated in {name}’s layout" if origin == STANDIN else f"{corpus}: {name}"
