"""Balance, measured: for a pair of the report, and for the page of the experiments."""

from markupsafe import Markup

from amanda.report.balance import balance_table, introduction
from amanda.report.paper import PaperPage
from amanda.report.registry import Pair, section


@section("balance", "Balance, measured", scope="pair", order=45)
def balance(pair: Pair) -> Markup | str:
    """The imbalance index of each method, with its noise floor."""
    runs = [
        (method.label, [run.balance for run in method.runs if run.balance is not None])
        for method in pair.file.methods
    ]
    caption = Markup("<b>{}: balance of the alignment</b>, mean over the runs.").format(pair.title)
    found = balance_table(caption, runs)
    return Markup("{}{}").format(introduction(), found) if found else ""


@section("paper-balance", "Balance, measured", scope="paper", order=55)
def paper_balance(page: PaperPage) -> Markup | str:
    """The same for each pair of Table 3."""
    table = page.table("table3")
    if table is None:
        return ""
    labels = {row.key: row.label for row in table.rows}
    variant = table.cells[0].variant
    blocks = []
    for column in table.columns:
        cells = [c for c in table.cells if c.column == column.key and c.variant == variant]
        caption = Markup("<b>{}: balance of the alignment</b>, mean over the runs. {}").format(
            column.label.replace("2", " → "), table.budget.sentence
        )
        blocks.append(balance_table(caption, [(labels[c.row], c.balance) for c in cells]))
    found = [block for block in blocks if block]
    return Markup("{}{}").format(introduction(), Markup("").join(found)) if found else ""
