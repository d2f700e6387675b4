"""The control loops: each watches the registry, keeps a queue of what changed, and moves the world one step per key.

work.py           the keyed queue that every loop runs on
recorder.py       events, counted when they repeat
state.py          what a pod or an owner reference says
rollout.py        the arithmetic of a rolling update, pure
revisions.py      template hashes, revisions, the annotations of a Deployment's ReplicaSets
conditions.py     a Deployment's status and conditions
deployment.py     Deployments make ReplicaSets
replicaset.py     ReplicaSets make Pods
endpoints.py      Services and Pods make EndpointSlices
scheduler.py      Pods find a node, or are told why not
budgets.py        the status of quotas and disruption budgets
"""
