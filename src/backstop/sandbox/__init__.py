"""The embedded cluster: a Kubernetes cluster in one process, for people with no cluster at hand and for tests.

    http_*.py, server.py      the TLS REST API that kubectl and the ordinary clients talk to
    registry.py               what the API means: preconditions, generations, defaults, validation, deletion
    store.py                  objects, one growing resourceVersion, the bounded history that watches read
    lifecycle.py, gc.py       namespaces come and go; dependents follow their owners

Nothing here is imported by an agent, a gate or a model: they see this cluster through its socket only.
`limits.LIMITS` says what it does not do.
"""
