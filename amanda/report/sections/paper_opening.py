"""What the page of the experiments is, and how it is made again."""

from markupsafe import Markup

from amanda.experiments_budget import BUDGETS
from amanda.experiments_files import TableFile
from amanda.experiments_tables import describe
from amanda.report.markup import Text, bullets, code, details, label_use, paragraphs
from amanda.report.paper import UNLIKE, PaperPage
from amanda.report.registry import section


@section("paper-opening", "What this is", scope="paper", order=0)
def opening(page: PaperPage) -> Markup:
    """The budget, what can be concluded, the command."""
    tables = [t for t in page.tables.values() if isinstance(t, TableFile)]
    budgets = list(dict.fromkeys(table.budget.name for table in tables))
    runs = {(cell.pair, cell.run_id): len(cell.seeds) for table in tables for cell in table.cells}
    labels: dict[str, None] = {
        use: None for table in tables for cell in table.cells for use in cell.target_labels_used
    }
    items: list[Text] = [
        Markup("<b>Budget {}</b> asks for {}; over each table stands what it had.").format(
            name, describe(BUDGETS[name])
        )
        for name in budgets
    ]
    items.append(
        f"{len(runs)} runs stand in the tables; a run that several tables share was trained once."
    )
    items.append(
        "The headline is the last epoch. What label-free validators choose, and the oracle, which "
        "looks at the target’s test labels, stand apart and named, below Table 3."
    )
    if labels:
        items.append(label_use(labels))
    parts: list[Text] = [
        paragraphs(
            "Every table of the paper, its figures on the left of each column and ours on the "
            "right, from the files under results/. Fractions and intervals are in the JSON files "
            "of the same names."
        ),
        bullets(items),
    ]
    if page.standin:
        parts.append(Markup('<p class="unlike">{}</p>').format(UNLIKE))
    if page.command:
        parts += [paragraphs("The command that makes this page:"), code(page.command)]
    return Markup("").join(parts)


@section("paper-commands", "Commands", scope="paper", order=90)
def commands(page: PaperPage) -> Markup | str:
    """Which file each cell is from."""
    blocks = []
    for name, table in page.tables.items():
        if not isinstance(table, TableFile):
            continue
        lines = list(dict.fromkeys(cell.file for cell in table.cells))
        blocks.append(details(f"{name}: {len(lines)} result files", code("\n".join(lines))))
    if not blocks:
        return ""
    return Markup("{}{}").format(
        paragraphs(
            Markup(
                "A cell is filled by one result file, which holds every setting; "
                "<code>amanda check FILE</code> computes its scores again from the predictions "
                "beside it."
            )
        ),
        Markup("").join(blocks),
    )
