"""The only door to Kubernetes: one client, bounded reads, a closed catalogue of writes, and the snapshots that undo them.

`objects`, `topology`, `state` and `writes` are pure and import no client, so that stages may use them. `client` and `reads` talk.
"""
