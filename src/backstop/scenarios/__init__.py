"""Failure modes as data, the drill that plays them to both agents, and the observer that measures the harm."""
