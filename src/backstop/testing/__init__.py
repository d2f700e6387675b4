"""Fakes for tests of whoever builds on Backstop: a cluster, an executor and models, in memory, with nothing patched.

    clock = ManualClock()
    cluster = FakeCluster(clock, failing_images={"demo/web:1.2-errors"})
    cluster.deploy("checkout", "demo/web:1.0", replicas=3)
    cluster.release("checkout", "demo/web:1.2-errors")
    models = ScriptedModels([diagnosis_of_a_test])
    outcome = await Incident(tools(cluster, FakeExecutor(cluster, DEFAULT, clock), models, ...), alert).run()

Rollouts of the fake cluster are over at once, unless `stuck` says otherwise. Times come from the clock that is handed in.
"""

from backstop.testing.cluster import NAMESPACE, FakeCluster
from backstop.testing.executor import FakeExecutor, Lost
from backstop.testing.models import Answer, Opinion, ScriptedModels, model_call

__all__ = ["NAMESPACE", "Answer", "FakeCluster", "FakeExecutor", "Lost", "Opinion", "ScriptedModels", "model_call"]
