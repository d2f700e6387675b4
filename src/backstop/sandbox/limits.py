"""What the embedded cluster does not do, or does otherwise than a real one. `backstop sandbox --limits` prints it.

Checked against the recorded answers of a Kubernetes 1.36 API server; a case that still differs is named in `golden`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """One known difference. `area` groups them; `golden` names the recorded cases that show it."""

    area: str
    what: str
    golden: tuple[str, ...] = ()


LIMITS: tuple[Limit, ...] = (
    Limit("storage", "Everything is in memory: a cluster that ends is gone, and a watch may lag 4096 changes behind, not minutes."),
    Limit("storage", "One API server, one node, no etcd, no leader election, no aggregation, no custom resources."),
    Limit("api", "Server-side apply (application/apply-patch+yaml) answers 415; there are no managedFields."),
    Limit("api", "Responses are JSON or YAML, never protobuf; requests may be JSON, YAML or protobuf."),
    Limit(
        "api",
        "406 names the media types that are really available, so protobuf is missing from its list.",
        ("05-errors/not-acceptable",),
    ),
    Limit("api", "exec, attach, port-forward, cp, debug (ephemeral containers) and pod resize are not served."),
    Limit("api", "To reach a Service: `kubectl get --raw /api/v1/namespaces/shop/services/checkout/proxy/`."),
    Limit("api", "A duplicate key in a JSON body is not warned about: the last one counts."),
    Limit("api", "OpenAPI v3 has types but no descriptions; OpenAPI v2 is an empty document.", ("12-server/explain",)),
    Limit("api", "A list that asks for a version ahead of the newest is refused at once instead of after three seconds."),
    Limit(
        "api",
        "Events are served in the core group only, not in events.k8s.io; autoscaling in v2 only, so `kubectl autoscale` fails.",
    ),
    Limit("api", "No metrics API, so `kubectl top` fails; no Jobs, CronJobs, Ingresses, NetworkPolicies or volume claims."),
    Limit("api", "The audit log is level Metadata with one stage, ResponseComplete; what the control loops write is not in it."),
    Limit("admission", "A validating webhook is never reached: failurePolicy decides. Mutating webhooks are not served."),
    Limit("admission", "LimitRanges, PriorityClasses and HPAs have no effect; MutatingAdmissionPolicies are not served."),
    Limit(
        "admission",
        "Policies are CEL without the library of Kubernetes (quantity, url, ip, sets, regex, authorizer) or a cost budget: what "
        "needs them is refused when it is written.",
    ),
    Limit("admission", "Policies see no managedFields and times as text; no type checking is reported in their status."),
    Limit(
        "admission",
        "Policies and webhooks are not asked about reviews of access, nor about writes of the kubelet, garbage collection, "
        "statuses of quotas and budgets, bindings by the scheduler, and events.",
    ),
    Limit("admission", "Quotas count objects and the cpu and memory of containers; scopes and storage are ignored."),
    Limit("controllers", "No StatefulSet, DaemonSet or HPA controller: such objects are stored and nothing happens."),
    Limit("controllers", "Services get EndpointSlices only, so `kubectl get endpoints` is empty."),
    Limit(
        "controllers",
        "Pods end faster than on a real node, so `status.terminatingReplicas` may be 0 where a real cluster still counts one.",
        ("04-scale-patch/patch-json",),
    ),
    Limit(
        "controllers", "A control loop that was refused tries again after at most 5 seconds, so that healing shows within seconds."
    ),
    Limit("controllers", "Events are kept as long as the cluster runs, not for an hour."),
    Limit("controllers", "No preemption, affinity, topology spread or volumes in scheduling."),
    Limit(
        "kubelet",
        "A container is a process of this machine, without isolation: no namespaces, no cgroup, no image, no volume mounts.",
    ),
    Limit("kubelet", "Memory is measured and enforced (OOMKilled); cpu limits are only counted by the scheduler."),
    Limit(
        "kubelet",
        "Only the images of `--images` exist; each holds one program and no shell, so a container with a command cannot start.",
    ),
    Limit("kubelet", "A program listens on its image's own port (8080, database 5432) whatever containerPort says."),
    Limit("kubelet", "Probes are httpGet and tcpSocket; exec and grpc probes fail and say so; lifecycle hooks are not run."),
    Limit("kubelet", "A container that has just started is probed every 0.1 s in its first second, then by its own period."),
    Limit(
        "kubelet",
        "Restart back-off is 0, 1, 2, 4 ... 20 seconds instead of 0, 10, 20 ... 300, so that a crash loop shows within seconds.",
    ),
    Limit("kubelet", "A container's log keeps 5000 lines or 1 MiB, of the current and the previous run; it is gone with its pod."),
    Limit("kubelet", "A container is told to stop at once: endpoints and kubelet learn of a deletion in the same instant."),
    Limit(
        "network",
        "Pods reach Services over plain HTTP through the proxy in their HTTP_PROXY: no TLS, no upgrade, bodies up to 8 MiB.",
    ),
    Limit("network", "Pod and Service addresses are labels: traffic goes through one router over loopback, by Service name."),
    Limit("network", "A Service without a ready endpoint answers 503 through the router instead of refusing the connection."),
    Limit("access", "ClusterRoles do not aggregate; admin, edit and view are fixed lists over the kinds that are served."),
    Limit(
        "access", "Authentication is by bearer token only; no client certificates, no OIDC, no bound object references in tokens."
    ),
)
