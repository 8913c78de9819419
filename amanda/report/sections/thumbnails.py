"""Faces, where the user asks for them: the first contact sheet of each corpus."""

import base64

from markupsafe import Markup

from amanda.report.markup import note
from amanda.report.registry import Page, section

SHEET = "sheet_001.png"


@section("thumbnails", "Chosen faces", scope="closing", order=86)
def thumbnails(page: Page) -> Markup | str:
    """The most doubtful choices of each folder of contact sheets; nothing where none is given."""
    figures = []
    for folder in page.contact_sheets:
        picture = base64.b64encode((folder / SHEET).read_bytes()).decode("ascii")
        figures.append(
            Markup(
                '<figure class="sheet"><div class="scroll" tabindex="0">'
                '<img src="data:image/png;base64,{}" alt="Contact sheet"></div>'
                "<figcaption><b>{}</b>: the utterances whose chosen face is most doubtful."
                "</figcaption></figure>"
            ).format(picture, folder.name)
        )
    if not figures:
        return ""
    warning = note(
        "You asked for pictures of people on this page: pass it on only where the corpus may go."
    )
    return Markup("{}{}").format(warning, Markup("").join(figures))
