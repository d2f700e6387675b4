"""Which cluster, and as whom: a kubeconfig file and context, or in a pod its service account, read by lightkube; every way it can
be unusable is one sentence."""

from __future__ import annotations

import base64
import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import yaml
from lightkube.config.client_adapter import ConnectionParams
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError as LightkubeConfigError

from backstop.errors import ConfigError

_TODO = "give --kubeconfig a file that kubectl accepts, or set KUBECONFIG"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds the token, the CA and the namespace of its service account."""

_LIMITS = httpx2.Limits(max_connections=16, keepalive_expiry=60.0)  # shorter than what load balancers forget a connection after


def default_path() -> Path:
    """Where kubectl looks: the first file of KUBECONFIG, else `~/.kube/config`."""
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(named) if named else Path.home() / ".kube" / "config"


def load(path: Path | None, context: str | None, account: Path = ACCOUNT) -> tuple[SingleConfig, dict[str, Any]]:
    """The cluster and user of a context (the current one if None), and the raw `cluster` entry. Raises ConfigError."""
    if path is None and context is None and _in_pod(account):
        with _unusable(account):
            given = KubeConfig.from_service_account(account).get()
            assert given is not None  # noqa: S101  it has exactly one context
            return given, {}
    path = path or default_path()
    document = _document(path)
    _known_context(path, document, context)
    with _unusable(path):
        config = KubeConfig.from_dict(_exec_v1_as_v1beta1(document), fname=path.absolute()).get(context)
        if config is None:
            raise LightkubeConfigError("it selects no context")
        cluster = next(c["cluster"] for c in document["clusters"] if c["name"] == config.context.cluster)
        _require_pem(config)
    return config._replace(user=config.user or User()), cluster


def connect(
    path: Path | None, context: str | None, timeout: httpx2.Timeout, account: Path = ACCOUNT
) -> tuple[httpx2.AsyncClient, str, dict[str, Any]]:
    """An HTTP client that carries the context's credentials and trust, the server's address, and extensions for each request."""
    config, cluster = load(path, context, account)
    path = path or default_path()
    server = config.cluster.server
    user = config.user or User()
    host = _host(path, server, credentials=any((user.token, user.token_file, user.password, user.exec)))
    parameters = ConnectionParams(
        timeout=timeout,
        trust_env=host not in _LOOPBACK,  # as kubectl does: HTTPS_PROXY is not for this machine
        proxy=str(cluster["proxy-url"]) if cluster.get("proxy-url") else None,
    )
    with _unusable(path):
        client = httpx2.AsyncClient(**parameters.httpx_params(config), limits=_LIMITS)
    name = cluster.get("tls-server-name")
    return client, server, {"sni_hostname": str(name)} if name else {}


def _in_pod(account: Path) -> bool:
    """Whether this is a pod, and nobody named another way in."""
    pod = bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (account / "token").is_file()
    return pod and not os.environ.get("KUBECONFIG") and not default_path().exists()


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.expanduser().read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no kubeconfig at {path}", todo=_TODO) from error
    except OSError as error:
        raise ConfigError(f"the kubeconfig {path} cannot be read: {error.strerror}", todo=_TODO) from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"the kubeconfig {path} is not YAML", todo=_TODO) from error
    if not isinstance(document, dict) or not document.get("clusters") or not document.get("contexts"):
        raise ConfigError(f"the kubeconfig {path} lists no clusters or no contexts", todo=_TODO)
    return document


def _known_context(path: Path, document: dict[str, Any], context: str | None) -> None:
    entries = document["contexts"] if isinstance(document["contexts"], list) else []
    names = [str(entry.get("name")) for entry in entries if isinstance(entry, dict)]
    wanted = context or document.get("current-context")
    if not wanted:
        raise ConfigError(f"the kubeconfig {path} has no current context", todo=f"name one with --context: {', '.join(names)}")
    if wanted not in names:
        near = difflib.get_close_matches(str(wanted), names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it has: {', '.join(names)}"
        raise ConfigError(f"the kubeconfig {path} has no context {wanted}", todo=hint)


def _exec_v1_as_v1beta1(document: dict[str, Any]) -> dict[str, Any]:
    """lightkube knows exec plugins up to v1beta1; v1 hands over the token in the same shape."""
    for user in document.get("users") or []:
        plugin = user.get("user", {}).get("exec") if isinstance(user, dict) and isinstance(user.get("user"), dict) else None
        if isinstance(plugin, dict) and plugin.get("apiVersion") == "client.authentication.k8s.io/v1":
            plugin["apiVersion"] = "client.authentication.k8s.io/v1beta1"
    return {**document, "users": document.get("users") or []}


def _require_pem(config: SingleConfig) -> None:
    """Inline certificates are looked at before lightkube puts them into temporary files. Raises ValueError."""
    user = config.user or User()
    for data in (config.cluster.certificate_auth_data, user.client_cert_data, user.client_key_data):
        if data is not None and b"-----BEGIN " not in base64.b64decode(data, validate=True):
            raise ValueError("inline certificate data is not PEM")


def _host(path: Path, server: str, *, credentials: bool) -> str:
    """The server's host. Credentials are never sent over plain HTTP to another machine."""
    try:
        parts = urlsplit(server)
        host, scheme, _ = parts.hostname or "", parts.scheme, parts.port
    except ValueError:
        host, scheme = "", ""
    if not host or scheme not in {"http", "https"}:
        raise ConfigError(f"the kubeconfig {path} names a server that is no address: {server!r}", todo=_TODO)
    if scheme == "http" and credentials and host not in _LOOPBACK:
        raise ConfigError(f"the kubeconfig {path} would send credentials over plain HTTP to {host}", todo="use an https server")
    return host


@contextmanager
def _unusable(path: Path) -> Iterator[None]:
    """What lightkube, ssl and msgspec (a ValueError) raise for a kubeconfig that is not whole."""
    try:
        yield
    except KeyError as error:
        raise ConfigError(f"the kubeconfig {path} cannot be used: it lacks {error}", todo=_TODO) from error
    except (LightkubeConfigError, OSError, ValueError, TypeError, AttributeError, StopIteration) as error:
        raise ConfigError(
            f"the kubeconfig {path} cannot be used: {str(error).splitlines()[0] if str(error) else error!r}", todo=_TODO
        ) from error
