"""Gradient search: logits that weigh the choices of a supernet learn inside one trial."""
