"""Checks that a chart's objects are consistent with each other.

A schema validates one object at a time: it accepts a selector that selects nothing. Each check here
takes all objects of a release, and fails with a message.
"""

import re
from collections.abc import Iterator
from typing import Any

from tests.helm import Manifest

WORKLOADS = {"Deployment", "Job"}
HOOK = "helm.sh/hook"


class Release:
    """The objects of one release, by kind."""

    def __init__(self, manifests: list[Manifest]) -> None:
        """Index all objects."""
        self.manifests = manifests

    def of(self, *kinds: str) -> list[Manifest]:
        """Return the objects of these kinds."""
        return [manifest for manifest in self.manifests if manifest["kind"] in kinds]

    def one(self, kind: str) -> Manifest:
        """Return the only object of a kind."""
        (manifest,) = self.of(kind)
        return manifest

    def pods(self) -> Iterator[tuple[Manifest, Manifest]]:
        """Return each workload with its pod template."""
        for workload in self.of(*WORKLOADS):
            yield workload, workload["spec"]["template"]

    def settings(self) -> dict[str, str]:
        """Return the environment that the ConfigMap defines."""
        settings: dict[str, str] = self.one("ConfigMap")["data"]
        return settings


def container(pod: Manifest) -> dict[str, Any]:
    """Return a pod's only container."""
    (only,) = pod["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def labels(pod: Manifest) -> dict[str, str]:
    """Return a pod's labels."""
    found: dict[str, str] = pod["metadata"]["labels"]
    return found


def ports(pod: Manifest) -> dict[str, int]:
    """Return a pod's ports by name."""
    return {port["name"]: port["containerPort"] for port in container(pod).get("ports", [])}


def name(manifest: Manifest) -> str:
    """Describe an object for a failure message."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def environment(pod: Manifest, release: Release) -> dict[str, str]:
    """Return the environment variables of a pod."""
    seen: dict[str, str] = {}
    for source in container(pod).get("envFrom", []):
        config = release.one("ConfigMap")
        assert source["configMapRef"]["name"] == config["metadata"]["name"], "No such ConfigMap."
        seen |= config["data"]
    return seen | {entry["name"]: entry["value"] for entry in container(pod).get("env", [])}


def chosen(selector: dict[str, str], release: Release) -> list[Manifest]:
    """Return the workloads whose pods a selector matches."""
    return [workload for workload, pod in release.pods() if selector.items() <= labels(pod).items()]


def check_selectors(release: Release) -> None:
    """Each selector matches its workload, and no other."""
    for workload in release.of("Deployment"):
        selector = workload["spec"]["selector"]["matchLabels"]
        assert chosen(selector, release) == [workload], f"{name(workload)} selects others' pods."
        spread = workload["spec"]["template"]["spec"]["topologySpreadConstraints"]
        for constraint in spread:
            meant = chosen(constraint["labelSelector"]["matchLabels"], release)
            assert meant == [workload], f"{name(workload)} is spread among others' pods."
    for budget in release.of("PodDisruptionBudget"):
        meant = chosen(budget["spec"]["selector"]["matchLabels"], release)
        assert len(meant) == 1, f"{name(budget)} is about {len(meant)} workloads."
        assert meant[0]["kind"] == "Deployment", f"{name(budget)} is about no Deployment."
    for service in release.of("Service"):
        assert chosen(service["spec"]["selector"], release), f"{name(service)} selects no pod."
    for policy in release.of("NetworkPolicy"):
        meant = chosen(policy["spec"]["podSelector"]["matchLabels"], release)
        assert meant, f"{name(policy)} is about no pod."
    for scaler in release.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        (scaled,) = (
            workload
            for workload in release.of(target["kind"])
            if workload["metadata"]["name"] == target["name"]
        )
        assert scaled["apiVersion"] == target["apiVersion"]
        assert "replicas" not in scaled["spec"], f"{name(scaler)} and a number contradict."
    for monitor in release.of("ServiceMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = (
            service
            for service in release.of("Service")
            if selector <= service["metadata"]["labels"].items()
        )
        offered = {port["name"] for port in service["spec"]["ports"]}
        assert {end["port"] for end in monitor["spec"]["endpoints"]} <= offered


def check_ports(release: Release) -> None:
    """Each reference to a port names one that a container has and the service listens on."""
    variables = {"http": "PORT", "metrics": "METRICS_PORT"}
    for workload, pod in release.pods():
        seen = environment(pod, release)
        for port, number in ports(pod).items():
            assert seen.get(variables[port]) == str(number), f"{name(workload)}: {port}"
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container(pod):
                port = container(pod)[probe]["httpGet"]["port"]
                assert port in ports(pod), f"{name(workload)}: {probe} asks port {port}."
    for service in release.of("Service"):
        wanted = {port["targetPort"] for port in service["spec"]["ports"]}
        for workload in chosen(service["spec"]["selector"], release):
            # A Job has no ports, so a Service does not select its pods.
            if workload["kind"] != "Job":
                assert wanted <= set(ports(workload["spec"]["template"])), name(service)


def check_ways_in(release: Release) -> None:
    """Each Ingress and route sends requests to a port that a Service has."""
    offered = {
        (service["metadata"]["name"], key): port
        for service in release.of("Service")
        for port in service["spec"]["ports"]
        for key in (port["name"], port["port"])
    }
    for ingress in release.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                assert (backend["name"], backend["port"]["name"]) in offered, name(ingress)
    for route in release.of("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                assert (backend["name"], backend["port"]) in offered, name(route)


def check_probes(release: Release) -> None:
    """The web pods have probes with the right paths and timeouts."""
    for workload, pod in release.pods():
        run = container(pod)
        if run["command"][-1] != "serve":
            assert not [key for key in run if key.endswith("Probe")], name(workload)
            continue
        paths = {key: run[key]["httpGet"]["path"] for key in run if key.endswith("Probe")}
        assert paths == {
            "startupProbe": "/health/live",
            "livenessProbe": "/health/live",
            "readinessProbe": "/health/ready",
        }
        limit = float(environment(pod, release).get("HEALTH_CHECK_SECONDS", 2))
        assert run["readinessProbe"]["timeoutSeconds"] > limit, "The probe ends before its checks."


def check_grace(release: Release) -> None:
    """A pod's grace period covers the wait, running requests and closing connections."""
    for workload, pod in release.pods():
        seconds = int(environment(pod, release)["SHUTDOWN_SECONDS"])
        before = container(pod).get("lifecycle", {}).get("preStop", {})
        waiting = before["sleep"]["seconds"] if before else 0
        is_web = container(pod)["command"][-1] == "serve"
        assert bool(waiting) == is_web, f"{name(workload)} waits {waiting} seconds."
        given = pod["spec"]["terminationGracePeriodSeconds"]
        assert given > waiting + seconds, f"{name(workload)} is killed before it has finished."


def check_scheduler(release: Release) -> None:
    """There is exactly one scheduler at any time."""
    schedulers = [
        workload for workload, pod in release.pods() if container(pod)["command"][-1] == "scheduler"
    ]
    assert len(schedulers) == 1
    (scheduler,) = schedulers
    assert scheduler["spec"]["replicas"] == 1
    assert scheduler["spec"]["strategy"] == {"type": "Recreate"}
    scaled = [scaler["spec"]["scaleTargetRef"] for scaler in release.of("HorizontalPodAutoscaler")]
    assert scheduler["metadata"]["name"] not in {target["name"] for target in scaled}


def check_restricted(release: Release) -> None:
    """Each pod satisfies the Pod Security Standard "restricted", and more than that."""
    for workload, pod in release.pods():
        spec, run = pod["spec"], container(pod)
        at = name(workload)
        assert spec["automountServiceAccountToken"] is False, at
        assert spec["enableServiceLinks"] is False, at
        assert spec["securityContext"]["runAsNonRoot"] is True, at
        assert spec["securityContext"]["runAsUser"] == 10001, at
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, at
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec), at
        assert run["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, at
        assert {"requests", "limits"} == set(run["resources"]), at
        kinds = {next(key for key in volume if key != "name") for volume in spec["volumes"]}
        assert kinds == {"secret", "emptyDir"}, at
        (writable,) = (volume["name"] for volume in spec["volumes"] if "emptyDir" in volume)
        mounts = {mount["name"]: mount for mount in run["volumeMounts"]}
        assert mounts[writable]["mountPath"] == "/tmp", at  # noqa: S108 - It is the pod's own.
    for account in release.of("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False, name(account)


def check_network(release: Release, ports_needed: set[tuple[str, int]]) -> None:
    """The network policy allows the connections that the service needs."""
    for workload, pod in release.pods():
        covering = [
            policy["spec"]
            for policy in release.of("NetworkPolicy")
            if policy["spec"]["podSelector"]["matchLabels"].items() <= labels(pod).items()
            # A hook can use only hooks: no other object exists when it first runs.
            and (HOOK in policy["metadata"].get("annotations", {})) == (workload["kind"] == "Job")
        ]
        assert covering, f"{name(workload)} has no policy."
        out = {
            (port["protocol"], port["port"])
            for policy in covering
            for rule in policy["egress"]
            for port in rule["ports"]
        }
        assert ports_needed <= out, f"{name(workload)} does not reach {ports_needed - out}."
        into = {
            port["port"]
            for policy in covering
            for rule in policy["ingress"]
            for port in rule["ports"]
            if rule["from"]
        }
        shut = set(ports(pod).values()) - into
        assert not shut, f"{name(workload)} is not reached at {shut}."


def check_images(release: Release) -> None:
    """Each image has a tag or a digest, and all are the same."""
    images = {container(pod)["image"] for _, pod in release.pods()}
    assert len(images) == 1
    for image in images:
        assert re.search(r":[\w][\w.-]*$|@sha256:[0-9a-f]{64}$", image), image
        assert not image.endswith(":latest")


def check_references(release: Release, secrets: set[str]) -> None:
    """The objects that a pod refers to exist when it starts; a Secret exists before."""
    assert not release.of("Secret"), "A secret is part of the release."
    for workload, pod in release.pods():
        is_hook = HOOK in workload["metadata"].get("annotations", {})
        there = {
            (other["kind"], other["metadata"]["name"])
            for other in release.manifests
            if not is_hook or HOOK in other["metadata"].get("annotations", {})
        }
        needed = {("ServiceAccount", pod["spec"]["serviceAccountName"])}
        for source in container(pod).get("envFrom", []):
            needed |= {("ConfigMap", source["configMapRef"]["name"])}
        assert needed <= there, f"{name(workload)} misses {needed - there}."
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        mounts = container(pod)["volumeMounts"]
        assert {mount["name"] for mount in mounts} == set(volumes), name(workload)
        (mount,) = (mount for mount in mounts if "secret" in volumes[mount["name"]])
        assert volumes[mount["name"]]["secret"]["secretName"] in secrets, name(workload)
        assert mount["readOnly"] is True
        assert environment(pod, release)["SECRETS_DIR"] == mount["mountPath"], name(workload)


def check_settings(release: Release, known: set[str], secret: set[str]) -> None:
    """Each variable is a setting of the service, and none of them is secret."""
    for workload, pod in release.pods():
        seen = environment(pod, release)
        unknown = set(seen) - known - {"SECRETS_DIR"}
        assert not unknown, f"{name(workload)}: {unknown} are no settings."
        assert not set(seen) & secret, f"{name(workload)} shows secrets."
        # Otherwise `migrate` would start its own database, as for a developer.
        assert seen["ENVIRONMENT"] == "production", name(workload)
        assert all(isinstance(value, str) for value in seen.values()), name(workload)


def check_migration(release: Release) -> None:
    """The Job runs before all other objects of a release, and its dependencies before it."""
    job = release.one("Job")
    assert container(job["spec"]["template"])["command"][-1] == "migrate"
    hooks = [m for m in release.manifests if HOOK in m["metadata"].get("annotations", {})]
    weights = {}
    for manifest in hooks:
        annotations = manifest["metadata"]["annotations"]
        assert annotations[HOOK] == "pre-install,pre-upgrade", name(manifest)
        assert "before-hook-creation" in annotations["helm.sh/hook-delete-policy"], name(manifest)
        weights[manifest["kind"]] = int(annotations["helm.sh/hook-weight"])
    assert max(weights, key=weights.__getitem__) == "Job"
    assert list(weights.values()).count(weights["Job"]) == 1


def check_names(release: Release) -> None:
    """Each object has a unique name that Kubernetes accepts, and a namespace."""
    seen = set()
    for manifest in release.manifests:
        metadata = manifest["metadata"]
        assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", metadata["name"]), metadata["name"]
        assert metadata["namespace"], name(manifest)
        key = (manifest["kind"], metadata["name"])
        assert key not in seen, f"There are two of {name(manifest)}."
        seen.add(key)
        for label in metadata["labels"].values():
            assert re.fullmatch(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", label), name(manifest)
