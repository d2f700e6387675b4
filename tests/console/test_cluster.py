"""The cluster's page over a cluster that is made up: what is shown, what is unknown, and how it may be broken."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from backstop.clock import ManualClock
from backstop.cluster.objects import Json
from backstop.console.cluster import Watched
from backstop.console.views.cluster import Raw, namespace_of
from backstop.console.views.rights import Question, cell_of, questions_of
from backstop.doctor.cluster import READS, WRITE
from backstop.errors import ClusterUnavailable
from backstop.policy import DEFAULT
from tests.console.shown import Shown, shown

AT = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>"


def deployment(name: str = "checkout", /, **status: int) -> Json:
    counts = {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "observedGeneration": 1} | status
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "web", "image": "demo/web:1.0"}]}}
    return {
        "metadata": {"name": name, "namespace": "shop", "generation": 1, "annotations": {"deployment.kubernetes.io/revision": "3"}},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": template},
        "status": counts,
    }


def pod(name: str, app: str = "checkout", **container: Any) -> Json:
    return {
        "metadata": {"name": name, "labels": {"app": app}},
        "status": {"phase": "Running", "containerStatuses": [{"restartCount": 4, **container}]},
    }


def raw(*deployments: Json, **other: Any) -> Raw:
    return Raw(
        **{"name": "shop", "pods": [], "events": [], "autoscalers": [], "troubles": ()} | {"deployments": list(deployments)} | other
    )


class TestAWorkload:
    def word(self, **status: int) -> str:
        (found,) = namespace_of(raw(deployment(**status)), DEFAULT).workloads or ()
        return found.word

    def test_is_ready_only_if_all_of_it_is_new_and_ready(self) -> None:
        assert self.word() == "ready"
        assert self.word(readyReplicas=1) == "not all ready"
        assert self.word(readyReplicas=0) == "none ready"
        assert self.word(updatedReplicas=1) == "rolling out"
        assert self.word(replicas=3) == "rolling out"

    def test_is_unknown_while_its_controller_has_not_seen_it(self) -> None:
        assert self.word(observedGeneration=0) == "unknown"

    def test_says_why_nobody_may_write_to_it(self) -> None:
        one = deployment("prod-db")
        one["metadata"]["labels"] = {"argocd.argoproj.io/instance": "shop"}
        scaler = {
            "metadata": {"name": "hpa"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "prod-db", "apiVersion": "apps/v1"}},
        }
        (found,) = namespace_of(raw(one, autoscalers=[scaler]), DEFAULT).workloads or ()
        assert found.may == ()
        assert found.marks == (
            "protected by name", "protected by label argocd.argoproj.io/instance", "managed by Argo CD", "scaled by hpa",
        )  # fmt: skip

    def test_says_so_if_nobody_knows_whether_it_is_autoscaled(self) -> None:
        (found,) = namespace_of(raw(deployment(), autoscalers=None), DEFAULT).workloads or ()
        assert found.marks == ("whether it is autoscaled is unknown",)

    def test_has_its_pods_with_what_they_wait_for(self) -> None:
        waiting = pod("a", state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}})
        (found,) = namespace_of(raw(deployment(), pods=[waiting, pod("b", "other")]), DEFAULT).workloads or ()
        assert [(p.name, p.restarts, p.trouble, p.ready) for p in found.pods or ()] == [
            ("a", 4, "CrashLoopBackOff: back-off", False)
        ]


def test_what_could_not_be_read_is_unknown_and_not_nothing() -> None:
    found = namespace_of(raw(deployments=None, pods=None, events=None, autoscalers=None, troubles=("gone",)), DEFAULT)
    assert (found.workloads, found.events, found.troubles) == (None, None, ("gone",))


class TestARight:
    WRITES = Question(WRITE, "shop", "checkout")

    def test_that_nobody_needs_is_good_when_denied_and_bad_when_allowed(self) -> None:
        assert cell_of("investigator", self.WRITES, (False, ""), DEFAULT).word == "denied"
        assert cell_of("investigator", self.WRITES, (True, ""), DEFAULT).word == "allowed, needed by nobody"

    def test_that_the_executor_needs_is_bad_when_denied(self) -> None:
        assert cell_of("executor", self.WRITES, (True, ""), DEFAULT).word == "allowed"
        assert cell_of("executor", self.WRITES, (False, "no"), DEFAULT).word == "denied, and needed"

    def test_on_what_the_policy_protects_is_needed_by_nobody(self) -> None:
        assert cell_of("executor", Question(WRITE, "shop", "prod-db"), (True, ""), DEFAULT).word == "allowed, needed by nobody"

    def test_that_is_not_known_is_unknown(self) -> None:
        for answer in (None, (None, "the API server does not answer")):
            assert cell_of("investigator", Question(READS[0], "shop"), answer, DEFAULT).word == "unknown"

    def test_is_asked_about_once(self) -> None:
        asked = list(questions_of(DEFAULT))
        assert len(asked) == len(set(asked))


@dataclass
class MadeUp:
    """A reader. `down`: the cluster cannot be reached."""

    deployments: list[Json] = field(default_factory=lambda: [deployment()])
    pods: list[Json] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)
    down: bool = False
    asked: int = 0

    async def get(self, path: str, params: Any = None, *, deadline: float | None = None) -> Json:
        self.asked += 1
        if self.down:
            raise ClusterUnavailable("the API server https://127.0.0.1:1 could not be reached: refused")
        kind = path.rpartition("/")[2]
        return {"items": {"deployments": self.deployments, "pods": self.pods, "events": self.events}.get(kind, [])}


@dataclass(frozen=True)
class Broke:
    fault: str
    summary: str
    at: datetime


@dataclass
class Measured:
    rates: Mapping[str, float | None]
    at: datetime = AT


@dataclass
class Monitors:
    latest: Measured | None = None


@dataclass
class Ground:
    """Grounds that note what was done to them."""

    monitor: Monitors = field(default_factory=Monitors)
    broken: Broke | None = None
    done: list[str] = field(default_factory=list)

    async def break_(self, fault: str) -> Broke:
        self.done.append(fault)
        self.broken = Broke(fault, "a bad release goes out", AT)
        return self.broken

    async def heal(self) -> None:
        self.done.append("heal")
        self.broken = None


BREAKS = {"bad-release": "a bad release goes out", "no-memory": "memory runs out"}


async def text(console: Shown) -> str:
    found = await console.get("/cluster")
    assert found.status == 200
    return found.text


async def test_without_an_identity_nothing_is_known_and_the_page_says_so(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        page = await text(console)
        assert "No cluster is shown here" in page
        assert "what each may do is unknown" in page
        assert "Break something" not in page


async def test_a_cluster_that_cannot_be_reached_is_a_sentence_and_everything_unknown(tmp_path: Path) -> None:
    async with shown(tmp_path, cluster=MadeUp(down=True)) as console:
        page = html.unescape(await text(console))
        assert "The API server https://127.0.0.1:1 could not be reached: refused." in page
        assert "What runs here is unknown" in page
        assert "Traceback" not in page


async def test_hostile_words_of_the_cluster_stay_words(tmp_path: Path) -> None:
    event = {"type": "Warning", "reason": HOSTILE, "message": HOSTILE, "involvedObject": {"kind": "Pod", "name": HOSTILE}}
    reader = MadeUp(pods=[pod(HOSTILE, state={"waiting": {"reason": HOSTILE}})], events=[event])
    async with shown(tmp_path, cluster=reader) as console:
        page = await text(console)
        assert HOSTILE not in page
        assert page.count(html.escape(HOSTILE)) >= 4


async def test_it_is_read_at_most_once_a_second_and_only_while_somebody_looks(tmp_path: Path) -> None:
    reader = MadeUp()
    async with shown(tmp_path, cluster=reader) as console:
        await asyncio.gather(*(console.get("/cluster") for _ in range(5)))
        assert reader.asked == 4


async def test_the_stream_says_when_something_changed(tmp_path: Path) -> None:
    reader = MadeUp()
    async with shown(tmp_path, cluster=reader) as console:
        (number,) = re.findall(r'data-stream="/stream/cluster" data-after="(\d+)"', await text(console))
        async with asyncio.timeout(10), console.visitor.get(f"{console.url}/stream/cluster?after={number}") as reply:
            assert await reply.content.readline() == b"retry: 1000\n"
            reader.deployments = [deployment(readyReplicas=0)]
            while not (line := await reply.content.readline()).startswith(b"data: ["):
                pass
            assert json.loads(line.removeprefix(b"data: ")) == [{"number": int(number) + 1}]
        assert "none ready" in await text(console)


def test_each_start_counts_from_its_own_time_so_that_an_open_page_hears_of_another_cluster_however_alike() -> None:
    earlier, later = (Watched(None, None, DEFAULT, ManualClock(AT + timedelta(seconds=after))).number for after in (0, 5))
    assert later > earlier + 1000


class TestBreaking:
    async def test_is_one_form_and_shows_what_is_broken(self, tmp_path: Path) -> None:
        grounds = Ground()
        async with shown(tmp_path, cluster=MadeUp(), grounds=grounds, breaks=BREAKS) as console:
            csrf = await console.csrf("/cluster")
            answer = await console.send("/cluster/break", {"csrf": csrf, "fault": "bad-release"})
            assert (answer.status, answer.headers["Location"]) == (303, "/cluster#break")
            assert "Broken from here: bad-release" in await text(console)
            assert (await console.send("/cluster/heal", {"csrf": csrf})).status == 303
            assert "Broken from here" not in await text(console)
        assert grounds.done == ["bad-release", "heal"]

    async def test_without_its_proof_or_by_another_name_breaks_nothing(self, tmp_path: Path) -> None:
        grounds = Ground()
        async with shown(tmp_path, cluster=MadeUp(), grounds=grounds, breaks=BREAKS) as console:
            csrf = await console.csrf("/cluster")
            assert (await console.send("/cluster/break", {"fault": "bad-release"})).status == 403
            assert (await console.send("/cluster/heal", {})).status == 403
            assert (await console.send("/cluster/break", {"csrf": csrf, "fault": "meteor"})).status == 404
        assert grounds.done == []

    async def test_of_somebody_s_real_cluster_is_refused(self, tmp_path: Path) -> None:
        async with shown(tmp_path, cluster=MadeUp()) as console:
            csrf = await console.csrf()
            answer = await console.send("/cluster/break", {"csrf": csrf, "fault": "bad-release"})
            assert (answer.status, "not there to be broken" in answer.text) == (409, True)

    async def test_error_rates_are_shown_and_what_was_not_measured_is_unknown(self, tmp_path: Path) -> None:
        grounds = Ground(Monitors(Measured({"checkout": 0.31, "catalog": None})))
        async with shown(tmp_path, cluster=MadeUp(), grounds=grounds, breaks=BREAKS) as console:
            page = await text(console)
            assert "✕ 31%" in page
            assert "? unknown" in page
