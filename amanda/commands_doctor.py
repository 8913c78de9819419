"""`amanda doctor`."""

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from amanda.store.errors import InputError


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Say what a bug report needs: versions, machine, GPUs, weights, disk.

    Example: `amanda doctor`
    """
    from amanda.doctor import as_text, examine

    found = examine(*_weights())
    typer.echo(json_module.dumps(found, indent=1) if json else as_text(found))


def _weights() -> tuple[dict[str, dict[str, str]], Path | None]:
    """Profile → weight → where it is, or the sentence that says what gets it; and the cache."""
    try:
        from extractors.profiles import builtin_profiles, load_profile
        from extractors.weights.cache import cache_dir, find
    except ImportError:  # installed without the extra `extract`
        return {}, None
    states: dict[str, dict[str, str]] = {}
    for name in builtin_profiles():
        states[name] = {}
        for weight, revision in load_profile(name).weights():
            try:
                states[name][weight] = f"in {find(weight, revision).path}"
            except InputError as error:
                states[name][weight] = str(error)
    return states, cache_dir()
