"""Durable incidents: what is submitted is worked to its end, whatever dies on the way."""
