"""Which array of another system is which of a net, and how each side lays it out."""
