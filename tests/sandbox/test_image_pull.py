"""An image that nobody published cannot be pulled, and everybody can see why."""

from __future__ import annotations

from backstop.sandbox.resources import PODS
from tests.sandbox.running import Client, is_ready, pod, state, waits_for

NOWHERE = "demo/web:9.99-doesnotexist"
WHY = f'rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/library/{NOWHERE}": not found'


async def test_an_unknown_tag_is_err_image_pull_and_then_backs_off(client: Client, space: str) -> None:
    await client.create(space, pod("web", NOWHERE))
    found = await client.pod(space, waits_for("ErrImagePull"))
    assert state(found)["waiting"]["message"] == WHY
    found = await client.pod(space, waits_for("ImagePullBackOff"))
    assert state(found)["waiting"]["message"] == f'Back-off pulling image "{NOWHERE}": ErrImagePull'
    assert found["status"]["phase"] == "Pending"
    assert found["status"]["containerStatuses"][0]["restartCount"] == 0


async def test_the_events_say_so_in_the_usual_words(client: Client, space: str) -> None:
    await client.create(space, pod("web", NOWHERE))
    for reason, message in (
        ("Pulling", f'Pulling image "{NOWHERE}"'),
        ("Failed", f'Failed to pull image "{NOWHERE}": {WHY}'),
        ("Failed", "Error: ErrImagePull"),
        ("BackOff", f'Back-off pulling image "{NOWHERE}"'),
        ("Failed", "Error: ImagePullBackOff"),
    ):
        event = await client.event(space, reason, message.__eq__)
        assert event["source"] == {"component": "kubelet", "host": event["reportingInstance"]}
        assert event["involvedObject"]["fieldPath"] == "spec.containers{app}"
        assert event["type"] == ("Normal" if reason in {"Pulling", "BackOff"} else "Warning")


async def test_its_log_says_what_it_waits_for(client: Client, space: str) -> None:
    await client.create(space, pod("web", NOWHERE))
    await client.pod(space, waits_for("ImagePullBackOff"))
    status, said = await client.text(PODS.path(space, "web", "log"))
    assert status == 400
    assert 'container \\"app\\" in pod \\"web\\" is waiting to start: trying and failing to pull image' in said


async def test_a_published_image_by_its_full_name_runs(client: Client, space: str) -> None:
    await client.create(space, pod("web", "docker.io/demo/web:1.0"))
    await client.pod(space, is_ready)
