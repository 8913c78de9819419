"""How stand-in people sound."""
