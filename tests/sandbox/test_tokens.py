"""A bearer token is worth what its signature, lifetime, audience and account say; anything else is 401."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from backstop.clock import ManualClock
from backstop.sandbox import bootstrap
from backstop.sandbox.access import Authenticator
from backstop.sandbox.http_ports import User
from backstop.sandbox.rbac import Authorizer
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import SELFSUBJECTREVIEWS, SELFSUBJECTRULESREVIEWS, SERVICEACCOUNTS
from backstop.sandbox.reviews import Reviews
from backstop.sandbox.status import StatusError
from backstop.sandbox.store import Store
from backstop.sandbox.tokens import AUDIENCE, Signer

ACCOUNT = {"metadata": {"name": "bot", "namespace": "team", "uid": "u-1"}}


def authenticator(clock: ManualClock, account: dict[str, Any] | None = ACCOUNT) -> Authenticator:
    return Authenticator(Signer(clock.now), lambda namespace, name: account if (namespace, name) == ("team", "bot") else None)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def claims_of(token: str) -> dict[str, Any]:
    middle = token.split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return read


def test_a_good_token_names_the_account_and_its_groups() -> None:
    ours = authenticator(ManualClock())
    user = ours.authenticate(bearer(ours.signer.issue("team", "bot", "u-1", 600)))
    assert user is not None
    assert user.name == "system:serviceaccount:team:bot"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:team", "system:authenticated")
    assert user.uid == "u-1"


def test_no_credentials_are_anonymous() -> None:
    user = authenticator(ManualClock()).authenticate({})
    assert user is not None
    assert (user.name, user.groups) == ("system:anonymous", ("system:unauthenticated",))


def test_an_expired_token_is_refused() -> None:
    clock = ManualClock()
    ours = authenticator(clock)
    token = ours.signer.issue("team", "bot", "u-1", 600)
    clock.advance(599)
    assert ours.authenticate(bearer(token)) is not None
    clock.advance(1)
    assert ours.authenticate(bearer(token)) is None


def test_a_token_of_another_cluster_is_refused() -> None:
    clock = ManualClock()
    assert authenticator(clock).authenticate(bearer(Signer(clock.now).issue("team", "bot", "u-1", 600))) is None


def test_changed_claims_break_the_signature() -> None:
    ours = authenticator(ManualClock())
    head, _, signature = ours.signer.issue("team", "bot", "u-1", 600).split(".")
    claims = claims_of(ours.signer.issue("team", "bot", "u-1", 600)) | {"sub": "system:serviceaccount:backstop:naive"}
    assert ours.authenticate(bearer(f"{head}.{part(claims)}.{signature}")) is None


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS256", None])
def test_another_algorithm_is_refused(algorithm: str | None) -> None:
    ours = authenticator(ManualClock())
    _, body, signature = ours.signer.issue("team", "bot", "u-1", 600).split(".")
    header = part({"alg": algorithm, "typ": "JWT"})
    assert ours.authenticate(bearer(f"{header}.{body}.{signature}")) is None
    assert ours.authenticate(bearer(f"{header}.{body}.")) is None


def test_a_token_for_another_audience_is_refused_here_and_valid_there() -> None:
    ours = authenticator(ManualClock())
    token = ours.signer.issue("team", "bot", "u-1", 600, ["vault"])
    assert ours.authenticate(bearer(token)) is None
    assert ours.user_of(token, "vault") is not None


@pytest.mark.parametrize("account", [None, {"metadata": {"name": "bot", "namespace": "team", "uid": "u-2"}}])
def test_a_token_dies_with_its_account(account: dict[str, Any] | None) -> None:
    ours = authenticator(ManualClock(), account)
    assert ours.authenticate(bearer(ours.signer.issue("team", "bot", "u-1", 600))) is None


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda raw: ".".join([base64.urlsafe_b64encode(raw).decode()] * 3)))
def test_garbage_is_refused_and_nothing_else(text: str) -> None:
    assert authenticator(ManualClock()).user_of(text) is None


def test_a_static_token_is_its_user_and_only_whole() -> None:
    ours = authenticator(ManualClock())
    boss = User("boss", groups=("system:masters",))
    ours.add_static("secret-token", boss)
    assert ours.authenticate(bearer("secret-token")) == boss
    assert ours.authenticate(bearer("secret-toke")) is None


@pytest.fixture
def cluster() -> tuple[Registry, Authenticator, Reviews]:
    clock = ManualClock()
    registry = Registry(Store(7), clock)
    bootstrap.install(registry)
    ours = Authenticator(Signer(clock.now), lambda ns, name: registry.find(SERVICEACCOUNTS, ns, name))
    return registry, ours, Reviews(ours, Authorizer(registry), registry, clock.now)


def test_a_requested_token_works_and_says_when_it_ends(cluster: tuple[Registry, Authenticator, Reviews]) -> None:
    _, ours, reviews = cluster
    answer = reviews.issue_token("backstop", "investigator", {"spec": {"expirationSeconds": 600}})
    assert answer["spec"] == {"audiences": [AUDIENCE], "expirationSeconds": 600, "boundObjectRef": None}
    assert answer["status"]["expirationTimestamp"] == "2026-01-01T00:10:00Z"
    user = ours.user_of(answer["status"]["token"])
    assert user is not None
    assert user.name == "system:serviceaccount:backstop:investigator"


@pytest.mark.parametrize(
    ("seconds", "why"),
    [
        (60, "may not specify a duration less than 10 minutes"),
        (0, "may not specify a duration less than 10 minutes"),
        (2**32 + 1, "may not specify a duration larger than 2^32 seconds"),
    ],
)
def test_a_lifetime_out_of_bounds_is_invalid(cluster: tuple[Registry, Authenticator, Reviews], seconds: int, why: str) -> None:
    with pytest.raises(StatusError) as refused:
        cluster[2].issue_token("backstop", "investigator", {"spec": {"expirationSeconds": seconds}})
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")
    assert why in refused.value.message


def test_a_token_of_nobody_is_not_found(cluster: tuple[Registry, Authenticator, Reviews]) -> None:
    with pytest.raises(StatusError, match='serviceaccounts "nobody" not found'):
        cluster[2].issue_token("backstop", "nobody", {"spec": {}})


def test_reviews_tell_users_about_themselves(cluster: tuple[Registry, Authenticator, Reviews]) -> None:
    _, ours, reviews = cluster
    token = reviews.issue_token("backstop", "investigator", {})["status"]["token"]
    user = ours.user_of(token)
    assert user is not None
    who = reviews.review(SELFSUBJECTREVIEWS, "", {}, user)
    assert who["status"]["userInfo"]["username"] == user.name
    rules = reviews.review(SELFSUBJECTRULESREVIEWS, "", {"spec": {"namespace": "shop"}}, user)["status"]
    assert not rules["incomplete"]
    assert {"verbs": ["get"], "apiGroups": [""], "resources": ["services/proxy"]} in rules["resourceRules"]
    assert any("/api/*" in rule["nonResourceURLs"] for rule in rules["nonResourceRules"])


def test_a_kubeconfig_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "admin.kubeconfig"
    for token in ("first", "second"):
        bootstrap.write_kubeconfig(path, server="https://127.0.0.1:6443", ca_pem=b"CA", user="admin", token=token)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = yaml.safe_load(path.read_text())
    assert config["current-context"] == "admin"
    assert config["users"][0]["user"]["token"] == "second"
    assert base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]) == b"CA"
    assert [entry.name for entry in tmp_path.iterdir()] == ["admin.kubeconfig"]
