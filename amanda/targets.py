"""What can be asked of the workflow by name, and the sentence on a name that cannot."""

import difflib
from itertools import permutations

from amanda.config import Config
from amanda.experiments import FIGURES

RULES = ("all",)
PAGES = ("results/report.html", "results/paper.html")
TABLES = ("table1", "table2", "table3", "table7", "ablation")


def known_targets(config: Config) -> list[str]:
    """Files that a person asks for, of this config; those between them are not listed."""
    pairs = ["2".join(pair) for pair in permutations(config.corpora, 2)]
    extracted = [name for name, corpus in config.corpora.items() if not corpus.features]
    return [
        *RULES,
        *PAGES,
        *(f"results/{pair}.json" for pair in pairs),
        *(f"features/{name}.h5" for name in extracted),
        *(f"manifests/{name}.csv" for name in extracted),
        *(f"results/{table}.json" for table in TABLES),
        *(f"results/sweep_{pair}.json" for pair in pairs),
        *(
            f"figures/{kind}_{pair}.{suffix}"
            for kind in FIGURES
            for pair in pairs
            for suffix in ("svg", "pdf")
        ),
    ]


def unknown_target(target: str, config: Config) -> str:
    """A sentence on a target that no rule makes, with the nearest that one does.

    >>> from amanda.config import parse_config
    >>> unknown_target("results/raport.html", parse_config({"corpora": {"ie": {"standin": True}}}))
    "target 'results/raport.html': nothing makes it; did you mean 'results/report.html'?"
    """
    close = difflib.get_close_matches(target, known_targets(config), n=1)
    folder = target.partition("/")[0]
    alike = [name for name in known_targets(config) if name.startswith(f"{folder}/")]
    hint = (
        f"did you mean '{close[0]}'?"
        if close
        else f"docs/workflow.md lists what can be made, as {(alike or PAGES)[0]}"
    )
    return f"target '{target}': nothing makes it; {hint}"
