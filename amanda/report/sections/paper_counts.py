"""Table 7 with ours beside it: utterances by class and split."""

from markupsafe import Markup

from amanda.experiments_files import CountsFile
from amanda.report.markup import Cell, Row, Text, code, note, table
from amanda.report.paper import PaperPage
from amanda.report.registry import section
from amanda.store.names import SPLITS


@section("paper-table7", "Table 7: the corpora", scope="paper", order=60)
def table7(page: PaperPage) -> Markup | str:
    """A table a corpus: class by split, paper and ours."""
    found = page.tables.get("table7")
    if not isinstance(found, CountsFile):
        return ""
    css = "theirs greyed" if found.corpora == "stand-in" else "theirs"
    head: list[Row] = [
        ["", *(Cell(split, css="theirs", span=2) for split in (*SPLITS, "sum"))],
        ["Class", *(each for _ in range(4) for each in (Cell("paper", css="theirs"), "ours"))],
    ]
    groups: list[tuple[Text, list[Row]]] = []
    for corpus, classes in found.ours.items():
        rows: list[Row] = []
        published = found.paper.get(corpus, {})
        for name, counts in classes.items():
            theirs = published.get(name)
            rows.append([name, *_pairs(counts, theirs, css)])
        total = {split: sum(c[split] for c in classes.values()) for split in SPLITS}
        of_paper = (
            {split: sum(c[split] for c in published.values()) for split in SPLITS}
            if published
            else None
        )
        rows.append([Cell("all", css="total"), *_pairs(total, of_paper, css, total_css="total")])
        rule = found.split_rule.get(corpus, "")
        groups.append((f"{corpus}{f', split {rule}' if rule else ''}", rows))
    why = (
        "Generated corpora are as large as they were asked to be; the paper’s counts say nothing "
        "of them."
        if found.corpora == "stand-in"
        else "The paper cut MELD, CMU-MOSEI and MSP-IMPROV to about 3:3:2:2 by a rule that it does "
        "not give, so which utterances these are differs also where counts agree."
    )
    caption = Markup("<b>Table 7. {}.</b> Labelled utterances.").format(found.title)
    parts = [table(caption, head, [], css="dense", groups=groups), note(why)]
    if page.command:
        parts.append(code(page.command_for("table7")))
    return Markup("").join(parts)


def _pairs(
    ours: dict[str, int], theirs: dict[str, int] | None, css: str, total_css: str = ""
) -> list[Cell]:
    cells = []
    for split in (*SPLITS, "sum"):
        here = sum(ours.values()) if split == "sum" else ours[split]
        there = (
            None if theirs is None else sum(theirs.values()) if split == "sum" else theirs[split]
        )
        cells.append(Cell("–" if there is None else f"{there:,}", css=css))
        cells.append(Cell(f"{here:,}", css=total_css))
    return cells
