"""One container of a pod: pulled, configured, started, probed, ended, started again after ever longer pauses."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import signal
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from backstop.sandbox import images
from backstop.sandbox.controllers.recorder import NORMAL, WARNING, Recorder
from backstop.sandbox.kubelet_env import ConfigMissing, environment
from backstop.sandbox.kubelet_probes import Probe, watch
from backstop.sandbox.logs import ContainerLog
from backstop.sandbox.quantities import parse
from backstop.sandbox.registry import Registry
from backstop.sandbox.runtime import HAS_PROC, Exit, Process, Runtime, measure
from backstop.sandbox.store import Object

RESTART_FIRST, RESTART_LAST = 1.0, 20.0
PULL_FIRST, PULL_LAST = 10.0, 300.0
PULL_ERROR_SECONDS = 0.3
CONFIG_RETRY_SECONDS = 10.0
SAMPLE_SECONDS = 0.1 if HAS_PROC else 1.0
NO_SUCH_FILE = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start "
    'container process: error during container init: exec: "{}": executable file not found in $PATH'
)


class Host(Protocol):
    """What a container needs of its pod and kubelet."""

    registry: Registry
    recorder: Recorder
    runtime: Runtime
    pod: Object
    ip: str
    config_changed: asyncio.Event

    async def given_env(self) -> dict[str, str]:
        """What every container finds in its environment."""
        ...

    def publish(self) -> None:
        """Writes the pod's status."""
        ...


class Container:
    """Runs until it has ended for good. `state`, `last_state`, `ready`, `restarts` are what the pod's status says."""

    def __init__(self, host: Host, spec: Object, *, once: bool = False) -> None:
        self._host = host
        self.spec = spec
        self.name: str = spec["name"]
        self._once = once  # an init container: it has to succeed, and then it is done
        self.state: dict[str, Any] = {"waiting": {"reason": "PodInitializing" if once else "ContainerCreating"}}
        self.last_state: dict[str, Any] = {}
        self.restarts = 0
        self.ready = False
        self.started = False
        self.image_id = ""
        self.id = ""
        self.log: ContainerLog | None = None
        self.previous_log: ContainerLog | None = None
        self.process: Process | None = None
        self._started_at = ""
        self._out_of_memory = False
        self._leaving = False
        self._runs = 0

    # The life of a container

    async def run(self) -> Exit:
        """Until it need not be started again."""
        pause = 0.0
        while True:
            image = await self._pull()
            env = await self._configure()
            loop = asyncio.get_running_loop()
            began = loop.time()
            how = await self._live(image, env)
            if not self._starts_again(how):
                return how
            if loop.time() - began > 2 * RESTART_LAST:
                pause = 0.0
            if pause:
                await self._back_off(pause)
            pause = min(RESTART_LAST, pause * 2 or RESTART_FIRST)
            self.last_state = {"terminated": self.state["terminated"]} if "terminated" in self.state else self.last_state
            self.restarts += 1

    def _starts_again(self, how: Exit) -> bool:
        if self._leaving:
            return False
        policy = self._host.pod["spec"].get("restartPolicy", "Always")
        if policy == "Always" and not self._once:
            return True
        return policy != "Never" and how.code != 0

    async def _pull(self) -> images.Image:
        name, pause = self.spec["image"], PULL_FIRST
        while True:
            image = images.find(name)
            if image is not None:
                if self.spec.get("imagePullPolicy") == "Always":
                    self._say(NORMAL, "Pulling", f'Pulling image "{name}"')
                    self._say(
                        NORMAL, "Pulled", f'Successfully pulled image "{name}" in 1ms (1ms including waiting). Image size: 0 bytes.'
                    )
                else:
                    self._say(NORMAL, "Pulled", f'Container image "{name}" already present on machine')
                self.image_id = image.digest
                return image
            if self.spec.get("imagePullPolicy") == "Never":
                why = f'Container image "{name}" is not present with pull policy of Never'
                self._say(WARNING, "ErrImageNeverPull", why)
                self._wait_for("ErrImageNeverPull", why)
                await asyncio.sleep(pause)
                continue
            await self._pull_failed(name, pause)
            pause = min(PULL_LAST, pause * 2)

    async def _pull_failed(self, name: str, pause: float) -> None:
        why = images.missing(name)
        self._say(NORMAL, "Pulling", f'Pulling image "{name}"')
        self._say(WARNING, "Failed", f'Failed to pull image "{name}": {why}')
        self._say(WARNING, "Failed", "Error: ErrImagePull")
        self._wait_for("ErrImagePull", why)
        await asyncio.sleep(PULL_ERROR_SECONDS)
        self._say(NORMAL, "BackOff", f'Back-off pulling image "{name}"')
        self._say(WARNING, "Failed", "Error: ImagePullBackOff")
        self._wait_for("ImagePullBackOff", f'Back-off pulling image "{name}": ErrImagePull')
        await asyncio.sleep(pause)

    async def _configure(self) -> dict[str, str]:
        given = await self._host.given_env()
        while True:
            try:
                return environment(self._host.registry, self._host.pod, self.spec, given)
            except ConfigMissing as missing:
                self._say(WARNING, "Failed", f"Error: {missing}")
                self._wait_for("CreateContainerConfigError", str(missing))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CONFIG_RETRY_SECONDS):
                    await self._host.config_changed.wait()

    async def _live(self, image: images.Image, env: dict[str, str]) -> Exit:
        """One run, from its start to its end."""
        self._runs += 1
        meta = self._host.pod["metadata"]
        self.id = "containerd://" + hashlib.sha256(f"{meta['uid']}/{self.name}/{self._runs}".encode()).hexdigest()
        self._out_of_memory = False
        self._started_at = self._host.registry.timestamp()
        self._say(NORMAL, "Created", f"Created container: {self.name}")
        if command := self.spec.get("command"):  # the images hold one program and no shell
            return self._cannot_start(str(command[0]))
        process = await self._host.runtime.run(image, env)
        self.process = process
        self.previous_log, self.log = self.log, process.log
        self.state = {"running": {"startedAt": self._started_at}}
        self.started = "startupProbe" not in self.spec
        self.ready = self.started and "readinessProbe" not in self.spec
        self._say(NORMAL, "Started", f"Started container {self.name}")
        self._host.publish()
        watchers = [asyncio.ensure_future(work) for work in self._watchers(process)]
        try:
            how = await asyncio.shield(process.exited)
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
        self._ended(how)
        return how

    def _cannot_start(self, command: str) -> Exit:
        why = NO_SUCH_FILE.format(command)
        self._say(WARNING, "Failed", f"Error: {why}")
        self._ended(Exit(128, 0), reason="StartError", message=why)
        return Exit(128, 0)

    def _ended(self, how: Exit, *, reason: str = "", message: str = "") -> None:
        self.process = None
        self.ready = self.started = False
        ended: dict[str, Any] = {
            "exitCode": how.code,
            "reason": reason or self._reason(how),
            "startedAt": self._started_at,
            "finishedAt": self._host.registry.timestamp(),
            "containerID": self.id,
        }
        if not message and how.code and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError" and self.log:
            message = self.log.tail(80)
        if message:
            ended["message"] = message
        self.state = {"terminated": ended}
        self._host.publish()

    def _reason(self, how: Exit) -> str:
        if self._out_of_memory:
            return "OOMKilled"
        return "Error" if how.code else "Completed"

    async def _back_off(self, seconds: float) -> None:
        meta = self._host.pod["metadata"]
        whose = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
        self.last_state = {"terminated": self.state["terminated"]}
        self._say(WARNING, "BackOff", f"Back-off restarting failed container {self.name} in pod {whose}")
        self._wait_for("CrashLoopBackOff", f"back-off {seconds:.0f}s restarting failed container={self.name} pod={whose}")
        await asyncio.sleep(seconds)

    # What is watched while it runs

    def _watchers(self, process: Process) -> list[Any]:
        works: list[Any] = []
        if limit := ((self.spec.get("resources") or {}).get("limits") or {}).get("memory"):
            works.append(self._watch_memory(process, int(parse(limit))))
        if "startupProbe" in self.spec:
            works.append(self._start_up(process))
        else:
            works += self._probes(process)
        return works

    def _probes(self, process: Process) -> list[Any]:
        works: list[Any] = []
        if "readinessProbe" in self.spec:
            works.append(
                self._watch_probe("Readiness", process, partial(self._set_ready, value=True), partial(self._set_ready, value=False))
            )
        if "livenessProbe" in self.spec:
            works.append(self._watch_probe("Liveness", process, lambda: None, partial(self._restart, process, "liveness")))
        return works

    async def _start_up(self, process: Process) -> None:
        """Startup probe first; then the others."""
        begun = asyncio.Event()
        probing = asyncio.ensure_future(
            self._watch_probe("Startup", process, begun.set, partial(self._restart, process, "startup"))
        )
        try:
            await begun.wait()
        finally:
            probing.cancel()
        self.started = True
        self.ready = "readinessProbe" not in self.spec
        self._host.publish()
        await asyncio.gather(*self._probes(process))

    def _watch_probe(self, kind: str, process: Process, success: Callable[[], None], failure: Callable[[], None]) -> Any:
        ports = {port["name"]: port["containerPort"] for port in self.spec.get("ports") or () if port.get("name")}
        probe = Probe(kind, self.spec[f"{kind.lower()}Probe"], ports, self._host.ip)

        def miss(why: str) -> None:
            if self._leaving:
                return  # it was asked to go: that it answers no more is no symptom
            self._say(WARNING, "Unhealthy", f"{kind} probe failed: {why}")

        return watch(probe, process.ports.get, on_success=success, on_failure=failure, on_miss=miss)

    def _set_ready(self, *, value: bool) -> None:
        if self.ready != value:
            self.ready = value
            self._host.publish()

    def _restart(self, process: Process, kind: str) -> None:
        self._say(NORMAL, "Killing", f"Container {self.name} failed {kind} probe, will be restarted")
        process.kill(signal.SIGTERM)
        grace = self._host.pod["spec"].get("terminationGracePeriodSeconds", 30)
        asyncio.get_running_loop().call_later(grace, process.kill, signal.SIGKILL)

    async def _watch_memory(self, process: Process, limit: int) -> None:
        """Kills the container when its measured memory exceeds its limit."""
        pid = await asyncio.shield(process.started)
        while await measure(pid) <= limit:  # noqa: ASYNC110  memory use has no event to wait for
            await asyncio.sleep(SAMPLE_SECONDS)
        self._out_of_memory = True
        process.kill(signal.SIGKILL)

    async def stop(self, grace: float) -> None:
        """Asks it to end for good, and makes it after `grace` seconds."""
        self._leaving = True
        process = self.process
        if process is None:
            return
        if grace > 0:
            self._say(NORMAL, "Killing", f"Stopping container {self.name}")
            process.kill(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await asyncio.shield(process.exited)
        process.kill(signal.SIGKILL)
        await asyncio.shield(process.exited)

    # What is said about it

    def _wait_for(self, reason: str, message: str) -> None:
        self.state = {"waiting": {"reason": reason, "message": message}}
        self._host.publish()

    def _say(self, kind: str, reason: str, message: str) -> None:
        which = "initContainers" if self._once else "containers"
        self._host.recorder.event(self._host.pod, kind, reason, message, field=f"spec.{which}{{{self.name}}}")

    def status(self) -> dict[str, Any]:
        """As `containerStatuses` has it."""
        found: dict[str, Any] = {"containerID": self.id} if self.id else {}
        return found | {
            "image": self.spec["image"],
            "imageID": self.image_id,
            "lastState": self.last_state,
            "name": self.name,
            "ready": self.ready,
            "restartCount": self.restarts,
            "started": self.started,
            "state": self.state,
        }
