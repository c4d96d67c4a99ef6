"""How models are trained and compared on hierarchical labels."""
