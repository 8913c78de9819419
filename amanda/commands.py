"""The command lines that a config stands for: what the rules of the workflow call.

Each function gives flags of one subcommand of `amanda`; `amanda.settings.to_flags` gives those of
`amanda train`.
"""

from collections.abc import Mapping
from typing import Any

from amanda.config import Config, CorpusConfig, StandinConfig


def standin_flags(wanted: StandinConfig) -> list[str]:
    """Flags of `amanda standin`, but for the corpus and the folder."""
    return [
        *_flag("--utterances", wanted.utterances),
        *_flag("--seed", wanted.seed),
        *_flag("--prior", _weights(wanted.prior)),
        *_flag("--gap", _weights(wanted.gap)),
    ]


def corpus_root(name: str, corpus: CorpusConfig) -> str:
    """Where a corpus is: data/<name> for a generated one."""
    return corpus.manifest or corpus.root or f"data/{name}"


def manifest_flags(name: str, corpus: CorpusConfig) -> list[str]:
    """Flags of `amanda manifest`, but for the output."""
    return [
        *_flag("--corpus", "csv" if corpus.manifest else corpus.reader or name),
        *_flag("--root", corpus_root(name, corpus)),
        *_flag("--split", corpus.split or ("column" if corpus.manifest else "paper")),
        *_flag("--split-seed", corpus.split_seed),
        *_flag("--subset", corpus.subset),
        *_flag("--cap", _weights(corpus.cap)),
        *_flag("--label-map", corpus.label_map),
    ]


def profile_flags(profile: str, config: Config, config_file: str | None) -> list[str]:
    """--profile, and the file that defines it where the package does not."""
    own = profile in config.profiles
    return [*_flag("--profile", profile), *_flag("--config", config_file if own else None)]


def extract_flags(name: str, config: Config, config_file: str | None) -> list[str]:
    """Flags of `amanda extract`, but for the manifest, the output and the shard."""
    corpus = config.corpora[name]
    return [
        *_flag("--corpus", name),
        *profile_flags(corpus.profile or config.profile, config, config_file),
        *_flag("--modalities", ",".join(corpus.extract)),
        *(["--downmix"] if corpus.downmix else []),
        *_flag("--faces", corpus.faces),
        *_flag("--max-failed", corpus.max_failed),
        *(["--name-no-clips"] if corpus.privacy == "strict" else []),
        *_flag("--device", config.device),
    ]


def _flag(name: str, value: str | int | float | None) -> list[str]:
    return [] if value in (None, "") else [name, str(value)]


def _weights(weights: Mapping[Any, int | float]) -> str:
    return ",".join(f"{name}={value:g}" for name, value in weights.items())
