"""Moved to `backstop.ports`; import from there."""

from backstop.ports import ClusterPort, ContainerLog, ExecutorPort, Look, ModelPort, Probe, Proposal

__all__ = ["ClusterPort", "ContainerLog", "ExecutorPort", "Look", "ModelPort", "Probe", "Proposal"]
