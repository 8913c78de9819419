"""Small generated corpora in the real corpora's layouts, for trying the pipeline on any machine.

Nothing made with them says anything about people or about a method. `traits/` is the table of
how the corpora differ.
"""

from corpora.standin.write import write_standin

__all__ = ["write_standin"]
