"""Updates as one graph: programs traced, compiled, recorded, with Adam and noise within."""
