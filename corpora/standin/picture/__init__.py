"""How stand-in people look, and how they are drawn."""
