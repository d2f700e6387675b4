"""The policy as CEL: what the API server itself asks of every write that comes in the executor's or the rehearser's name.

A portable subset, which every CEL implementation reads alike: && || ! == != < <= + - in ?:, has, all, exists, filter, map,
matches, string; whole numbers; has() around whatever may be absent. Each validation is true by rule or false by rule, never an
error: what is not the kind of write that a rule is about satisfies it, and K-VERB denies it. What a new version of Kubernetes adds
to an object is held still too, because fields are named where they may change and not where they may not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from backstop.policy.quantities import memory_between
from backstop.policy.release import image_pattern
from backstop.policy.schema import ANY, LabelRule, Policy, Verb, WorkloadRule

ACTION_ID: Final = "backstop.dev/action-id"
RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"
MAX_KNOWN_IMAGES: Final = 20
"""How many known-good images the switch object may list for one workload: `<workload>.1` to `<workload>.20`."""

_POD_FREE: Final = (
    "containers", "initContainers", "volumes", "tolerations", "nodeSelector", "affinity", "topologySpreadConstraints",
    "terminationGracePeriodSeconds",
)  # fmt: skip
"""What an earlier revision may say differently of a pod; the first four have rules of their own."""

_CONTAINER_FREE: Final = (
    "image", "imagePullPolicy", "command", "args", "workingDir", "env", "envFrom", "ports", "resources", "livenessProbe",
    "readinessProbe", "startupProbe", "lifecycle", "volumeMounts", "terminationMessagePath", "terminationMessagePolicy",
)  # fmt: skip
_SECURITY: Final = r"^([a-z0-9-]+[.])*security[.](alpha|beta)[.]kubernetes[.]io/"
"""Annotations of a pod by which API servers up to 1.29 and container runtimes take AppArmor and seccomp profiles."""

_VOLUME_KINDS: Final = ("configMap", "downwardAPI", "emptyDir")

Object = dict[str, Any]
Validation = tuple[str, str]
"""What is said, beginning with the rule's id, and the expression that must be true."""


def lit(value: Any) -> str:
    """A CEL literal of strings, whole numbers, lists and maps of them."""
    return json.dumps(value, ensure_ascii=False)


def same_but(new: str, old: str, free: Iterable[str], key: str = "k") -> str:
    """Two maps that agree in every field but the `free` ones. `key` names the fields; nested uses need different ones."""
    names = lit(list(free))
    return (
        f"{new}.all({key}, {key} in {names} || ({key} in {old} && {new}[{key}] == {old}[{key}])) && "
        f"{old}.all({key}, {key} in {names} || {key} in {new})"
    )


def optional(path: str, *, default: str = "{}", given: str = "") -> str:
    """The value at `path`, whose last field may be absent; if `given` is false, the default too."""
    return f"({given + ' && ' if given else ''}has({path}) ? {path} : {default})"


def _is_a_write() -> str:
    """A change of one Deployment, whole, or of its scale. Nothing after it needs to ask whether these fields are there."""
    parts = ["request.operation == 'UPDATE'", "request.resource.group == 'apps'", "request.resource.resource == 'deployments'"]
    parts += ["(!has(request.subResource) || request.subResource in ['', 'scale'])", "has(request.name)", "has(request.namespace)"]
    for side in ("object", "oldObject"):
        parts += [f"{side} != null", f"has({side}.metadata)", f"has({side}.spec)"]
        template = " && ".join(
            f"has({side}.spec.template{field})" for field in ("", ".metadata", ".spec", ".spec.containers")
        )  # fmt: skip
        parts.append(f"((has(request.subResource) && request.subResource == 'scale') || ({template}))")
    return " && ".join(parts)


def executor_variables(policy: Policy) -> list[Object]:
    """The policy's lists, and the parts of the request that several rules look at. Each has a value for every request."""
    rules = {f"{n.name}/{w.name}": w for n in policy.namespaces for w in n.workloads}
    new, old = "object.spec.template", "oldObject.spec.template"
    named: Mapping[str, str] = {
        "write": _is_a_write(),
        "scale": "variables.write && has(request.subResource) && request.subResource == 'scale'",
        "whole": "variables.write && !variables.scale",
        "key": "variables.write ? request.namespace + '/' + request.name : ''",
        "workloads": lit(list(rules)),
        **{f"may_{verb}": lit([key for key, rule in rules.items() if verb in rule.verbs]) for verb in _VERBS},
        "least": lit(_each(rules, lambda rule: rule.replicas and rule.replicas.minimum)),
        "most": lit(_each(rules, lambda rule: rule.replicas and rule.replicas.maximum)),
        "memory": lit(_each(rules, lambda rule: rule.memory and memory_between(rule.memory.minimum, rule.memory.maximum))),
        "images": lit(_each(rules, lambda rule: image_pattern(rule.images))),
        "listed": "variables.write && variables.key in variables.workloads",
        **{
            name: f"!variables.write ? 0 : (has({side}.spec.replicas) ? {side}.spec.replicas : (variables.scale ? 0 : 1))"
            for name, side in (("replicas", "object"), ("replicas_before", "oldObject"))
        },
        "released": f"variables.whole && {new} != {old}",
        "templates": f"variables.whole ? [{new}, {old}] : []",
        "metadatas": "variables.write ? [object.metadata, oldObject.metadata] : []",
        "annotations": optional("object.metadata.annotations", given="variables.whole"),
        "annotations_before": optional("oldObject.metadata.annotations", given="variables.whole"),
        "pods": f"variables.whole ? [{new}.spec] : []",
        "pods_before": f"variables.whole ? [{old}.spec] : []",
        "containers": _containers("object"),
        "containers_before": _containers("oldObject"),
    }
    return [{"name": name, "expression": expression} for name, expression in named.items()]


_VERBS: Final[tuple[Verb, ...]] = ("rollback", "restart", "scale", "set_resources")


def _containers(side: str) -> str:
    """Containers and init containers, in one list."""
    pod = f"{side}.spec.template.spec"
    return f"variables.whole ? {pod}.containers + {optional(f'{pod}.initContainers', default='[]')} : []"


def _each(rules: Mapping[str, WorkloadRule], value: Callable[[WorkloadRule], Any]) -> Object:
    return {key: found for key, rule in rules.items() if (found := value(rule)) is not None}


def executor_validations(policy: Policy) -> tuple[Validation, ...]:
    """What every write in the executor's name must satisfy, in the order in which a refusal names the first."""
    return (
        ("K-VERB: the executor only changes a Deployment or its scale", "variables.write"),
        (
            "K-NAMESPACE: the policy allows no write in this namespace",
            f"!variables.write || request.namespace in {lit([n.name for n in policy.namespaces])}",
        ),
        *_protected(policy),
        ("K-WORKLOAD: the policy does not list this workload", "!variables.write || variables.listed"),
        *_replicas(policy),
        *_unchanged(),
        *_released(),
        *_rolled_back(),
        *_not_rolled_back(),
        (
            "K-IMAGE: an image is not of a repository that the policy lists for this workload",
            "!(variables.released && variables.listed) || variables.containers.all(c, "
            "has(c.image) && c.image.matches(variables.images[variables.key]))",
        ),
        ("K-MEMORY: a memory limit is taken away, or set outside the policy's bounds", _memory()),
    )


def _protected(policy: Policy) -> tuple[Validation, ...]:
    protected = policy.protected
    mine = "(variables.metadatas + variables.templates.filter(t, has(t.metadata)).map(t, t.metadata))"
    return (
        (
            "K-PROTECTED: this name or namespace is protected",
            f"!variables.write || !(request.name in {lit(protected.names)} || request.namespace in {lit(protected.namespaces)})",
        ),
        (
            "K-PROTECTED: a label protects this workload, or would from now on",
            f"{mine}.all(m, !has(m.labels) || m.labels.all(k, {_unmarked('m.labels', protected.labels)}))",
        ),
        (
            "K-PROTECTED: an annotation protects this workload, or would from now on",
            f"variables.metadatas.all(m, !has(m.annotations) || m.annotations.all(k, "
            f"{_unmarked('m.annotations', protected.annotations)}))",
        ),
    )


def _unmarked(carried: str, marks: Iterable[LabelRule]) -> str:
    """That the key `k` of `carried` is no mark of protection."""
    rules = [f"k == {lit(mark.key)}" + ("" if mark.value == ANY else f" && {carried}[k] == {lit(mark.value)}") for mark in marks]
    return f"!({' || '.join(f'({rule})' for rule in rules)})" if rules else "true"


def _replicas(policy: Policy) -> tuple[Validation, ...]:
    limits = policy.limits
    step = min(limits.max_step, limits.max_pods_touched)
    within = (
        "variables.least[variables.key] <= variables.replicas && variables.replicas <= variables.most[variables.key]"
        f" && variables.replicas - variables.replicas_before <= {step} && variables.replicas_before - variables.replicas <= {step}"
    )
    return (
        (
            "K-REPLICAS: no write leaves a workload without replicas",
            "!variables.write || 1 <= variables.replicas",
        ),
        (
            f"K-REPLICAS: replicas are set where the policy allows scale, within its bounds, and by at most {step}",
            "!variables.listed || variables.replicas == variables.replicas_before || "
            f"(variables.key in variables.may_scale && {within})",
        ),
        (
            f"K-REPLICAS: a rollout replaces at most {limits.max_pods_touched} pods, and comes alone",
            "!(variables.released && variables.listed) || (variables.replicas == variables.replicas_before && "
            f"variables.replicas <= {limits.max_pods_touched})",
        ),
    )


def _unchanged() -> tuple[Validation, ...]:
    """Everything but the template, the replicas and our own mark."""
    free = ("annotations", "generation", "managedFields", "resourceVersion")
    return (
        (
            "K-SPEC: nothing of the spec changes but the template and the replicas",
            f"!variables.whole || ({same_but('object.spec', 'oldObject.spec', ('template', 'replicas'))})",
        ),
        (
            "K-SPEC: nothing of the scale changes but the replicas",
            f"!variables.scale || ({same_but('object.spec', 'oldObject.spec', ('replicas',))})",
        ),
        (
            "K-SPEC: its rollout is paused, by somebody",
            "!variables.whole || !has(oldObject.spec.paused) || oldObject.spec.paused == false",
        ),
        (
            "K-METADATA: something owns it, and would revert the write",
            "variables.metadatas.all(m, !has(m.ownerReferences) || m.ownerReferences == [])",
        ),
        (
            "K-METADATA: name, labels, owners and finalizers stay as they are",
            f"!variables.write || ({same_but('object.metadata', 'oldObject.metadata', free)})",
        ),
        (
            f"K-METADATA: no annotation changes but {ACTION_ID}",
            same_but("variables.annotations", "variables.annotations_before", (ACTION_ID,)),
        ),
        (
            f"K-METADATA: a write carries a new {ACTION_ID}",
            f"!variables.whole || ({lit(ACTION_ID)} in variables.annotations && "
            f"variables.annotations[{lit(ACTION_ID)}].matches('^[a-z0-9][a-z0-9.-]{{2,65}}$') && "
            f"(!({lit(ACTION_ID)} in variables.annotations_before) || "
            f"variables.annotations[{lit(ACTION_ID)}] != variables.annotations_before[{lit(ACTION_ID)}]))",
        ),
    )


def _released() -> tuple[Validation, ...]:
    """What no change of the template may do, whatever the verb."""
    names = "{}.all(c, {}.exists(d, c.name == d.name))"
    pods = [f"{side}.spec.template.spec" for side in ("object", "oldObject")]
    same = " && ".join(
        f"{names.format(optional(f'{one}.{kind}', default='[]'), optional(f'{other}.{kind}', default='[]'))}"
        for kind in ("containers", "initContainers")
        for one, other in (pods, pods[::-1])
    )
    template = "variables.templates.all(n, variables.templates.all(o, {}))"
    return (
        (
            "K-TEMPLATE: the pod keeps its security, host, account and other settings",
            "variables.pods.all(n, variables.pods_before.all(o, " + same_but("n", "o", _POD_FREE) + "))",
        ),
        (
            "K-TEMPLATE: the template keeps the keys of its labels, and whatever else its metadata holds",
            template.format(same_but("n.metadata", "o.metadata", ("labels", "annotations"))
            + f" && {optional('n.metadata.labels')}.all(k, k in {optional('o.metadata.labels')})"),
        ),
        (
            "K-TEMPLATE: the pod keeps the annotations that set its security",
            template.format(f"{optional('n.metadata.annotations')}.all(k, !k.matches({lit(_SECURITY)}) || "
            f"(k in {optional('o.metadata.annotations')} && n.metadata.annotations[k] == o.metadata.annotations[k]))"),
        ),
        (
            f"K-TEMPLATE: the pod gains no annotation but {RESTARTED_AT}",  # others make webhooks and agents add what they like
            "variables.pods.all(p, "
            f"{optional('object.spec.template.metadata.annotations')}.all(k, k == {lit(RESTARTED_AT)} || "
            f"k in {optional('oldObject.spec.template.metadata.annotations')}))",
        ),
        ("K-TEMPLATE: the containers keep their names", f"!variables.whole || ({same})"),
        (
            "K-TEMPLATE: a container keeps its security context, and everything else that a release does not set",
            "variables.containers.all(n, variables.containers_before.all(o, n.name != o.name || ("
            + same_but("n", "o", _CONTAINER_FREE)
            + ")))",
        ),
    )  # fmt: skip


def _rolled_back() -> tuple[Validation, ...]:
    """What an earlier template may not bring back."""
    pair = "variables.pods.all(n, variables.pods_before.all(o, {}))"
    held = "variables.containers_before.exists(d, {})"
    env = held.format(
        "has(d.env) && d.env.exists(f, has(f.valueFrom) && has(f.valueFrom.secretKeyRef) && "
        f"{_named_alike('f.valueFrom.secretKeyRef', 'e.valueFrom.secretKeyRef')})"
    )
    source = held.format(f"has(d.envFrom) && d.envFrom.exists(f, has(f.secretRef) && {_named_alike('f.secretRef', 'e.secretRef')})")
    ports = held.format("d.name == c.name && has(d.ports) && p in d.ports")
    kinds = lit(["name", *_VOLUME_KINDS])
    return (
        (
            f"K-TEMPLATE: a new volume is a {', '.join(_VOLUME_KINDS[:-1])} or {_VOLUME_KINDS[-1]}",
            pair.format(f"!has(n.volumes) || n.volumes.all(v, v.all(k, k in {kinds}) || (has(o.volumes) && v in o.volumes))"),
        ),
        (
            "K-TEMPLATE: the pod tolerates nothing that it does not tolerate now",
            pair.format("!has(n.tolerations) || n.tolerations.all(t, has(o.tolerations) && t in o.tolerations)"),
        ),
        (
            "K-TEMPLATE: no port of the host is opened",
            "variables.containers.all(c, !has(c.ports) || c.ports.all(p, !has(p.hostPort) || p.hostPort == 0 || " + ports + "))",
        ),
        (
            "K-TEMPLATE: no Secret is read that is not read now",
            "variables.containers.all(c, (!has(c.env) || c.env.all(e, !has(e.valueFrom) || !has(e.valueFrom.secretKeyRef) || "
            f"{env})) && (!has(c.envFrom) || c.envFrom.all(e, !has(e.secretRef) || {source})))",
        ),
    )


def _named_alike(one: str, other: str) -> str:
    """Two references to a Secret of the same name, which Kubernetes lets be absent."""
    return f"has({one}.name) && has({other}.name) && {one}.name == {other}.name"


def _not_rolled_back() -> tuple[Validation, ...]:
    """Where rollback is not listed, a template changes in just the way that the verbs which are listed change it."""
    other = "!(variables.released && variables.listed) || variables.key in variables.may_rollback || "
    restarted = f"k == {lit(RESTARTED_AT)} && variables.key in variables.may_restart"
    new, old = "object.spec.template", "oldObject.spec.template"
    notes, notes_before = optional(f"{new}.metadata.annotations"), optional(f"{old}.metadata.annotations")
    limits, limits_before = (optional(f"{c}.resources.limits", given=f"has({c}.resources)") for c in "no")
    resources, resources_before = (optional(f"{c}.resources") for c in "no")
    sized = (
        f"variables.key in variables.may_set_resources && {same_but(limits, limits_before, ('memory',), 'l')}"
        f" && {same_but(resources, resources_before, ('limits',), 'l')}"
    )
    return (
        (
            "K-TEMPLATE: without rollback, no label and no annotation of the pod changes but the time of a restart",
            f"{other}({same_but(f'{new}.metadata', f'{old}.metadata', ('annotations',))} && "
            f"{notes}.all(k, ({restarted}) || (k in {notes_before} && {notes}[k] == {notes_before}[k])) && "
            f"{notes_before}.all(k, ({restarted}) || k in {notes}))",
        ),
        (
            "K-TEMPLATE: without rollback, nothing of the pod changes but memory limits",
            f"{other}({same_but(f'{new}.spec', f'{old}.spec', ('containers', 'initContainers'))} && "
            f"variables.containers.all(n, variables.containers_before.all(o, n.name != o.name || ("
            f"{same_but('n', 'o', ('resources',))} && ({resources} == {resources_before} || ({sized}))))))",
        ),
    )


def _memory() -> str:
    limit = "has({0}.resources) && has({0}.resources.limits) && 'memory' in {0}.resources.limits"
    n, o = limit.format("n"), limit.format("o")
    same = f"{o} && n.resources.limits['memory'] == o.resources.limits['memory']"
    bounded = "variables.key in variables.memory && string(n.resources.limits['memory']).matches(variables.memory[variables.key])"
    return (
        "!(variables.released && variables.listed) || variables.containers.all(n, variables.containers_before.all(o, "
        f"n.name != o.name || (({n}) ? (({same}) || ({bounded})) : !({o}))))"
    )


def switch_validations() -> tuple[Validation, ...]:
    """What the executor's writes must satisfy besides, by the object that somebody else keeps: `params`."""
    named = "(request.name + '.' + i)"
    places = f"{lit([str(n) for n in range(1, MAX_KNOWN_IMAGES + 1)])}"
    listed = f"params.data.exists(k, {places}.exists(i, k == {named}))"
    known = f"{places}.exists(i, {named} in params.data && has(c.image) && params.data[{named}] == c.image)"
    return (
        (
            "K-SWITCH: writes are stopped",
            "params != null && has(params.data) && 'writes' in params.data && params.data['writes'] == 'allowed'",
        ),
        (
            "K-IMAGE: an image is not among those that are known to be good for this workload",
            "!variables.released || params == null || !has(params.data) || !" + listed
            + f" || variables.containers.all(c, {known})",
        ),
    )  # fmt: skip


def switch_variables() -> list[Object]:
    """Those of the executor's variables that the switch's rules use."""
    named = {
        "write": _is_a_write(),
        "whole": "variables.write && !(has(request.subResource) && request.subResource == 'scale')",
        "released": "variables.whole && object.spec.template != oldObject.spec.template",
        "containers": _containers("object"),
    }
    return [{"name": name, "expression": expression} for name, expression in named.items()]


def rehearser_validations(policy: Policy) -> tuple[Validation, ...]:
    """The rehearser asks whether a pod could be made, and makes none."""
    return (
        (
            "K-VERB: the rehearser only creates pods",
            "request.operation == 'CREATE' && request.resource.group == '' && request.resource.resource == 'pods' && "
            "(!has(request.subResource) || request.subResource == '')",
        ),
        ("K-DRY-RUN: the rehearser only rehearses", "has(request.dryRun) && request.dryRun == true"),
        (
            "K-NAMESPACE: the policy allows no write in this namespace",
            f"has(request.namespace) && request.namespace in {lit([n.name for n in policy.namespaces])}",
        ),
    )
