"""Validating webhooks: they are never reached, so every call is the failure of one, and its failure policy decides.

Nothing that could answer a webhook runs in this cluster. What a real API server says depends on what it finds on the way: no such
Service, a Service without endpoints, or nobody who listens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from backstop.sandbox.admission_policies import conditions_hold, values_of
from backstop.sandbox.admission_request import ADMISSION, AdmissionRequest, rule_matches, selected
from backstop.sandbox.expressions import ExpressionFailed, Inputs, Scope
from backstop.sandbox.resources import ENDPOINTSLICES, SERVICES, VALIDATINGWEBHOOKCONFIGURATIONS
from backstop.sandbox.status import StatusError, internal
from backstop.sandbox.store import Object

if TYPE_CHECKING:
    from backstop.sandbox.registry import Registry

SERVICE_NAME = "kubernetes.io/service-name"


def check(registry: Registry, request: AdmissionRequest) -> None:
    """Refuses a write that a webhook with failurePolicy Fail had to be asked about. Raises 500, as the real API server does.

    Objects of admission itself are nobody's to refuse, so that a webhook that is down can be removed.
    """
    if request.resource.group == ADMISSION:
        return
    for configuration in registry.store.every(VALIDATINGWEBHOOKCONFIGURATIONS):
        for webhook in configuration.get("webhooks") or ():
            if _is_asked(registry, webhook, request):
                _call(registry, webhook)


def _is_asked(registry: Registry, webhook: Object, request: AdmissionRequest) -> bool:
    if not any(rule_matches(rule, request) for rule in webhook.get("rules") or ()) or not selected(registry, webhook, request):
        return False
    conditions = webhook.get("matchConditions")
    if not conditions:
        return True
    try:
        return conditions_hold(conditions, Inputs(Scope(), values_of(registry, request)))
    except ExpressionFailed:
        return True  # its failure policy decides, as when it is called in vain


def _call(registry: Registry, webhook: Object) -> None:
    if webhook.get("failurePolicy") == "Ignore":
        return
    raise _failed(webhook["name"], *_reach(registry, webhook.get("clientConfig") or {}), webhook.get("timeoutSeconds", 10))


def _failed(name: str, url: str, why: str, seconds: int) -> StatusError:
    separator = "&" if "?" in url else "?"
    post = f"Post {_quoted(f'{url}{separator}timeout={seconds}s')}: {why}"
    return internal(f"failed calling webhook {_quoted(name)}: failed to call webhook: {post}")


def _reach(registry: Registry, client: Object) -> tuple[str, str]:
    """The URL of a webhook, and why nobody answers there."""
    service = client.get("service")
    if service is None:
        url = str(client.get("url", ""))
        host = urlsplit(url).hostname or ""
        return url, f"dial tcp: lookup {host}: no such host"
    namespace, name, port = service["namespace"], service["name"], service.get("port", 443)
    url = f"https://{name}.{namespace}.svc:{port}/{str(service.get('path', '')).lstrip('/')}"
    found = registry.store.get(SERVICES, namespace, name)
    if found is None:
        return url, f"service {_quoted(name)} not found"
    if not any(known["port"] == port for known in found["spec"].get("ports") or ()):
        return url, f"no service port {port} found for service {_quoted(name)}"
    if not _has_endpoint(registry, namespace, name):
        return url, f"no endpoints available for service {_quoted(name)}"
    return url, f"dial tcp {found['spec'].get('clusterIP')}:{port}: connect: connection refused"


def _has_endpoint(registry: Registry, namespace: str, service: str) -> bool:
    return any(
        (endpoint.get("conditions") or {}).get("ready")
        for found in registry.store.every(ENDPOINTSLICES, namespace)
        if (found["metadata"].get("labels") or {}).get(SERVICE_NAME) == service
        for endpoint in found.get("endpoints") or ()
    )


def _quoted(text: str) -> str:
    return f'"{text}"'
