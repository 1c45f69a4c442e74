"""Writing files that other systems' own loaders take, a module each."""
