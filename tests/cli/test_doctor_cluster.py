"""What `backstop doctor` says of a cluster: reached or not, as whom, and what this identity may do of what Backstop needs."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from backstop.doctor.cluster import READS, cluster_problems, look_at_cluster
from backstop.doctor.report import ClusterEntry, Report
from backstop.doctor.scrubbing import Scrub
from backstop.policy import DEFAULT
from tests.cli.doctoring import Desk, answering
from tests.embedded import Embedded, embedded

Json = dict[str, Any]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Embedded]:
    with embedded() as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def seen(report: Report) -> ClusterEntry:
    assert report.cluster is not None
    return report.cluster


def test_the_investigator_reads_and_writes_nothing(desk: Desk, cluster: Embedded) -> None:
    report = desk.report(code=0, KUBECONFIG=str(cluster.kubeconfigs["investigator"]))
    found = seen(report)
    assert (found.server, found.identity) == (cluster.server, "system:serviceaccount:backstop:investigator")
    assert found.version.startswith("v1.")
    (shop,) = found.namespaces
    assert (found.fit, shop.unreadable, shop.writable, shop.beyond) == ("investigator", (), (), ())
    assert not [note for note in report.notes if "investigator" in note]


def test_the_executor_patches_what_the_policy_allows_and_reads_little(desk: Desk, cluster: Embedded) -> None:
    found = seen(desk.report("--kubeconfig", str(cluster.kubeconfigs["executor"]), code=0))
    (shop,) = found.namespaces
    assert (found.fit, shop.writable, shop.unwritable, shop.beyond) == ("executor", ("checkout", "catalog"), (), ())
    assert {"list events", "get pods/log", "get services/proxy"} <= set(shop.unreadable)


def test_an_identity_that_may_do_everything_is_told_so(desk: Desk, cluster: Embedded) -> None:
    report = desk.report(code=0, KUBECONFIG=str(cluster.kubeconfigs["admin"]))
    assert seen(report).fit == "both"
    beyond = "patch deployments, delete deployments, delete pods, get secrets of any name: Backstop never needs that"
    assert any(beyond in note for note in report.notes)
    assert any("give investigator and executor identities of their own" in note for note in report.notes)


def test_nothing_is_changed_and_nothing_is_left(desk: Desk, cluster: Embedded) -> None:
    scratch = desk.directory / "tmp"
    scratch.mkdir()
    before = len(cluster.audit_log.read_text().splitlines())
    desk.report(code=0, KUBECONFIG=str(cluster.kubeconfigs["admin"]), TMPDIR=str(scratch))
    assert list(scratch.iterdir()) == []
    lines = [json.loads(line) for line in cluster.audit_log.read_text().splitlines()[before:]]
    mine = [line for line in lines if line.get("userAgent") == "backstop"]
    assert len(mine) > len(READS)
    assert {line["verb"] for line in mine} == {"get", "create"}
    created = {line["objectRef"]["resource"] for line in mine if line["verb"] == "create"}
    assert created == {"selfsubjectreviews", "selfsubjectaccessreviews"}


def test_a_named_cluster_that_is_not_there_is_wrong(desk: Desk) -> None:
    kubeconfig(desk.directory / "config", "https://127.0.0.1:1")
    report = desk.report(code=1, KUBECONFIG="config")
    assert "the API server https://127.0.0.1:1 could not be reached" in report.problems[0]
    assert "check that the cluster runs" in report.problems[0]


@pytest.mark.parametrize("content", ["server", "nonsense"])
def test_the_one_that_nobody_named_is_only_told_of(desk: Desk, content: str) -> None:
    (desk.directory / ".kube").mkdir()
    file = desk.directory / ".kube" / "config"
    if content == "server":
        kubeconfig(file, "https://127.0.0.1:1")
    else:
        file.write_text("nonsense")
    report = desk.report(code=0)
    assert not seen(report).named
    assert any("was not named and is left alone" in note for note in report.notes)


def test_a_context_that_is_not_there_suggests_the_nearest(desk: Desk) -> None:
    kubeconfig(desk.directory / "config", "https://127.0.0.1:1")
    assert "did you mean shop-prod?" in desk.refused("--kubeconfig", "config", "--context", "shop-prd")


def test_credentials_that_are_not_accepted_are_told_so(desk: Desk, cluster: Embedded) -> None:
    document = yaml.safe_load(cluster.kubeconfigs["admin"].read_text())
    document["users"][0]["user"]["token"] = "not-the-token-0123456789"
    (desk.directory / "config").write_text(yaml.safe_dump(document))
    ended = desk.doctor(KUBECONFIG="config")
    assert ended.returncode == 1
    assert "its credentials are not accepted: renew them" in ended.stdout
    assert "not-the-token" not in ended.stdout


def test_an_identity_without_rights_is_wrong_with_what_it_lacks(desk: Desk, cluster: Embedded) -> None:
    document = yaml.safe_load(cluster.kubeconfigs["investigator"].read_text())
    document["users"][0]["user"] = {"token": token_of(cluster, "nobody")}
    (desk.directory / "config").write_text(yaml.safe_dump(document))
    report = desk.report(code=1, KUBECONFIG="config")
    assert seen(report).fit == "neither"
    assert "can neither investigate nor write: in shop it may not list deployments, " in report.problems[0]


class Answers(BaseHTTPRequestHandler):
    """An API server that answers a review with a status, or with an HTTP code; None: it breaks the connection."""

    identity: Json | int = {"userInfo": {"username": "me"}}  # noqa: RUF012
    access: Json | int | None = {"allowed": True}  # noqa: RUF012

    def do_GET(self) -> None:
        self._say({"gitVersion": "v1.36.0"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        said = self.identity if self.path.endswith("selfsubjectreviews") else self.access
        if said is None:
            self.connection.shutdown(socket.SHUT_RDWR)
        elif isinstance(said, int):
            self._say({"kind": "Status", "message": "no"}, said)
        else:
            self._say({"status": said}, 201)

    def _say(self, value: Json, code: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


async def looked(tmp_path: Path, **answers: Any) -> ClusterEntry:
    with answering(type("Server", (Answers,), answers)) as url:
        kubeconfig(tmp_path / "config", url)
        return await look_at_cluster(tmp_path / "config", None, DEFAULT, Scrub(), named=True)


async def test_a_server_that_knows_no_review_of_oneself_leaves_the_identity_unknown(tmp_path: Path) -> None:
    found = await looked(tmp_path, identity=404)
    assert found.identity.startswith("unknown")
    assert found.fit == "both"


@pytest.mark.parametrize("access", [{"allowed": "yes"}, {}, 403, 500, None])
async def test_no_answer_about_a_right_is_taken_for_neither_yes_nor_no(tmp_path: Path, access: Json | int | None) -> None:
    found = await looked(tmp_path, access=access)
    assert (found.identity, found.fit, found.namespaces) == ("me", None, ())
    assert found.trouble
    assert list(cluster_problems(found)) == [found.trouble]


def kubeconfig(file: Path, server: str) -> None:
    """One context."""
    document = {
        "current-context": "shop-prod",
        "contexts": [{"name": "shop-prod", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "a-token-0123456789"}}],
    }
    file.write_text(yaml.safe_dump(document))


def token_of(cluster: Embedded, name: str) -> str:
    """Of a new service account, to which nobody grants anything."""
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    create(cluster, accounts, {"metadata": {"name": name}})
    token: str = create(cluster, f"{accounts}/{name}/token", {"spec": {}})["status"]["token"]
    return token


def create(cluster: Embedded, path: str, obj: Json) -> Json:
    config = yaml.safe_load(cluster.kubeconfigs["admin"].read_text())
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}", "Content-Type": "application/json"}
    request = urllib.request.Request(cluster.server + path, json.dumps(obj).encode(), headers)
    with urllib.request.urlopen(request, context=ssl.create_default_context(cadata=authority), timeout=10) as answer:
        created: Json = json.load(answer)
    return created
