"""A container that ends is started again, after ever longer pauses, and its last words are kept."""

from __future__ import annotations

from backstop.sandbox.resources import PODS
from tests.sandbox.running import Client, Object, is_ready, pod, state, waits_for

LAST_WORDS = "FATAL cannot read price table: unexpected end of input at line 1 (release 1.2)"


def restarts(found: Object) -> int:
    return int(found["status"]["containerStatuses"][0]["restartCount"])


async def test_a_container_that_crashes_at_start_ends_up_in_crash_loop_back_off(client: Client, space: str) -> None:
    await client.create(space, pod("web", "demo/web:1.2-crash"))
    found = await client.pod(space, waits_for("CrashLoopBackOff"))
    uid = found["metadata"]["uid"]
    assert state(found)["waiting"]["message"] == f"back-off 1s restarting failed container=app pod=web_{space}({uid})"
    ended = found["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (1, "Error")
    assert found["status"]["phase"] == "Running", "a pod that has once run is not pending again"
    event = await client.event(space, "BackOff")
    assert event["message"] == f"Back-off restarting failed container app in pod web_{space}({uid})"


async def test_pauses_grow_and_restarts_and_events_are_counted(client: Client, space: str) -> None:
    await client.create(space, pod("web", "demo/web:1.2-crash"))
    found = await client.pod(space, lambda p: waits_for("CrashLoopBackOff")(p) and restarts(p) >= 2)
    assert state(found)["waiting"]["message"].startswith("back-off 2s ")
    started = await client.event(space, "Started")
    assert started["count"] >= 3


async def test_the_log_of_the_run_before_is_kept(client: Client, space: str) -> None:
    await client.create(space, pod("web", "demo/web:1.2-crash"))
    await client.pod(space, waits_for("CrashLoopBackOff"))
    for query in ("", "?previous=true"):
        status, text = await client.text(PODS.path(space, "web", "log") + query)
        assert (status, text.splitlines()[-1]) == (200, LAST_WORDS)


async def test_a_healthy_container_has_no_previous_log(client: Client, space: str) -> None:
    await client.create(space, pod("web"))
    await client.pod(space, is_ready)
    status, said = await client.text(PODS.path(space, "web", "log") + "?previous=true")
    assert status == 400
    assert 'previous terminated container \\"app\\" in pod \\"web\\" not found' in said


async def test_the_last_words_become_the_termination_message_if_asked_for(client: Client, space: str) -> None:
    await client.create(space, pod("web", "demo/web:1.2-crash", terminationMessagePolicy="FallbackToLogsOnError"))
    found = await client.pod(space, waits_for("CrashLoopBackOff"))
    message = found["status"]["containerStatuses"][0]["lastState"]["terminated"]["message"]
    assert message.splitlines()[-1] == LAST_WORDS


async def test_restart_policy_never_leaves_it_failed(client: Client, space: str) -> None:
    once = pod("web", "demo/web:1.2-crash")
    once["spec"]["restartPolicy"] = "Never"
    await client.create(space, once)
    found = await client.pod(space, lambda p: p["status"]["phase"] == "Failed")
    assert restarts(found) == 0
    assert state(found)["terminated"]["exitCode"] == 1


async def test_a_command_is_refused_because_the_images_hold_no_shell(client: Client, space: str) -> None:
    await client.create(space, pod("web", command=["sh", "-c", "sleep 1"]))
    found = await client.pod(space, waits_for("CrashLoopBackOff"))
    ended = found["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    assert 'exec: "sh": executable file not found in $PATH' in ended["message"]
