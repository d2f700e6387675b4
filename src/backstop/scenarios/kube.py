"""The supervisor's own, small way to read a cluster: shared with neither agent, so that what measures them is not part of them."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import yaml
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from backstop.errors import ClusterError, ClusterUnavailable, ConfigError


class Kube:
    """Raw JSON requests with the identity of one kubeconfig. Opened with `async with`."""

    def __init__(self, kubeconfig: Path, context: str | None = None) -> None:
        self.server, self._trust, self._token = _read_kubeconfig(kubeconfig, context)

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        self._session = ClientSession(
            self.server, connector=TCPConnector(ssl=self._trust, limit=0), headers=headers, timeout=ClientTimeout(total=10)
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._session.close()

    async def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> dict[str, Any]:
        """One request, and its answer as JSON. Raises ClusterError with the server's own words."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": content_type}
        try:
            async with self._session.request(method, path, data=data, headers=headers) as answer:
                content = await answer.json(content_type=None)
        except (ClientError, TimeoutError, ValueError) as error:
            raise ClusterUnavailable(f"{self.server} did not answer {method} {path}: {_words(error)}") from error
        if answer.status >= 400 or not isinstance(content, dict):
            message = content.get("message", "") if isinstance(content, dict) else ""
            raise ClusterError(f"{method} {path}: {message or answer.status}", status=answer.status)
        return content

    async def get(self, path: str) -> dict[str, Any]:
        return await self.request("GET", path)

    async def items(self, path: str) -> list[dict[str, Any]]:
        """The items of a list."""
        items: list[dict[str, Any]] = (await self.get(path))["items"]
        return items

    async def watch(self, path: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """What is there (as `ADDED`), then every change until the server ends the watch. Raises ClusterError."""
        listed = await self.get(path)
        for item in listed["items"]:
            yield "ADDED", item
        since = listed["metadata"]["resourceVersion"]
        try:
            async with self._session.get(
                f"{path}?watch=true&resourceVersion={since}", timeout=ClientTimeout(total=None, sock_connect=5)
            ) as answer:
                async for line in answer.content:
                    event = json.loads(line)
                    yield event["type"], event["object"]
        except (ClientError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            raise ClusterUnavailable(f"the watch of {path} broke: {_words(error)}") from error


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _read_kubeconfig(path: Path, context: str | None) -> tuple[str, ssl.SSLContext, str | None]:
    """Server, trust and token. Raises ConfigError in one sentence."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        wanted = context or config.get("current-context")
        chosen = _named(config["contexts"], wanted, "context") if wanted else config["contexts"][0]["context"]
        cluster = _named(config["clusters"], chosen["cluster"], "cluster")
        user = _named(config.get("users") or [], chosen["user"], "user")
        return _server(cluster), _trust(path, cluster), user.get("token")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _unusable(f"the kubeconfig {path} is malformed: it is not YAML") from error
    except KeyError as error:
        raise _unusable(f"the kubeconfig {path} is malformed: it lacks {error}") from error
    except (TypeError, AttributeError, IndexError) as error:
        raise _unusable(f"the kubeconfig {path} is malformed: it is not what kubectl writes") from error
    except ssl.SSLError as error:
        raise _unusable(f"the kubeconfig {path} is malformed: its certificate authority is no certificate") from error
    except ValueError as error:
        raise _unusable(f"the kubeconfig {path} is malformed: {error}") from error
    except OSError as error:
        raise _unusable(f"the kubeconfig {path} cannot be read: {error.strerror}") from error


def _unusable(what: str) -> ConfigError:
    return ConfigError(what, unchanged="nothing was changed", todo="paste the line that 'backstop sandbox up' printed")


def _named(entries: list[dict[str, Any]], name: str, kind: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            content: dict[str, Any] = entry[kind]
            return content
    raise ValueError(f"no {kind} named {name!r}")


def _server(cluster: dict[str, Any]) -> str:
    server = str(cluster["server"])
    parts = urlsplit(server)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError(f"its server {server!r} is no address")
    return server


def _trust(path: Path, cluster: dict[str, Any]) -> ssl.SSLContext:
    if "certificate-authority-data" in cluster:
        return ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    if "certificate-authority" in cluster:
        file = path.parent / cluster["certificate-authority"]
        if not file.exists():
            raise ValueError(f"its certificate authority {file} is missing")
        return ssl.create_default_context(cafile=str(file))
    return ssl.create_default_context()
