"""The separate process that holds the only write identity: typed requests in, at most one fenced write out.

`client` is what an agent imports; it knows nothing of Kubernetes. `server`, `writer` and `__main__` run in the executor alone.
"""
