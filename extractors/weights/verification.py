"""Reading the weights of a profile again, to find files that a disk or a copy has damaged."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from extractors.profiles import Profile
from extractors.weights.cache import cache_dir, damaged_files, entry, fetch_command, folder_of
from extractors.weights.table import WEIGHTS


@dataclass(frozen=True)
class Verified:
    """What came of one weight; `problems` is empty where it can be used as it is."""

    line: str
    problems: list[str]


def verify_profile(profile: Profile) -> Iterator[Verified]:
    """Hash every file of a profile's weights again, whatever was noted of it before."""
    for name, revision in dict.fromkeys(profile.weights()):
        if name not in WEIGHTS and Path(name).expanduser().exists():
            yield Verified(f"{'own':<8}  {name:<32}  your own path, no hash to compare with", [])
            continue
        weight = entry(name, revision)
        folder = folder_of(weight, cache_dir())
        mend = f"run `{fetch_command(name)}`"
        if not folder.is_dir():
            problem = f"weight '{name}' is not in the cache {cache_dir()}; {mend}"
            yield Verified(f"{'missing':<8}  {name}", [problem])
            continue
        damaged = [
            f"{problem}; {mend}, which replaces it" for problem in damaged_files(weight, folder)
        ]
        yield Verified(f"{'damaged' if damaged else 'sound':<8}  {name}", damaged)
