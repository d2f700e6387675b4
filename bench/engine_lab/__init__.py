"""What `bench/engine.py` works with: a fleet in which every incident has a cluster of its own, and processes that work it."""
