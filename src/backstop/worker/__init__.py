"""A worker: the engine at work on one installation's incidents, with all that it takes to look, ask, write and sign."""
