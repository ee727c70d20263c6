"""A Docker engine, found as Docker's own tools find it: by DOCKER_HOST."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.answers import CONFIG
from tests.commands import run

LEAVE_OUT = ("DELIVERY_TESTS", "leave out")

INSTRUCTIONS = """\
The delivery tests need a Docker engine with buildx and compose, and there is none:

{reason}

Install Docker, or point DOCKER_HOST at an engine. To leave these tests out, set
DELIVERY_TESTS="leave out"."""

STAND_INS = Path(__file__).parent / "stand_ins"

BASE = f"python:{CONFIG['newest_python']['default']}-slim-trixie"
"""What the service's image is made of, and the stand-ins, too."""


def require_engine() -> None:
    """Fail with instructions where there is no engine, unless told to leave it out."""
    if os.environ.get(LEAVE_OUT[0]) == LEAVE_OUT[1]:
        pytest.skip(f"{LEAVE_OUT[0]} says to leave the delivery tests out.")
    for command in (["version"], ["buildx", "version"], ["compose", "version"]):
        try:
            asked = subprocess.run(
                ["docker", *command], capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            pytest.fail(INSTRUCTIONS.format(reason=error), pytrace=False)
        if asked.returncode:
            pytest.fail(INSTRUCTIONS.format(reason=asked.stderr.strip()), pytrace=False)


def has_image(name: str) -> bool:
    """Say whether the engine has an image, or can get it."""
    for command in (["image", "inspect", name], ["pull", "--quiet", name]):
        asked = subprocess.run(["docker", *command], capture_output=True, timeout=600, check=False)
        if asked.returncode == 0:
            return True
    return False


def build(folder: Path, name: str, **arguments: str) -> None:
    """Build an image and name it."""
    options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    run("docker", "build", "--quiet", *options, "--tag", name, ".", cwd=folder)


def provide_image(name: str) -> str:
    """Have an image: the real one where a registry is within reach, else a stand-in.

    Returns:
        What it is, for the report.

    Raises:
        LookupError: there is neither.
    """
    kind, _, tag = name.partition(":")
    stand_in = {
        "nginxinc/nginx-unprivileged": "nginx",
        "prom/prometheus": "prometheus",
    }.get(kind)
    if has_image(name):
        if kind != "postgres":
            return f"{name}: as the engine has it"
        entrypoint = ["run", "--rm", "--entrypoint", "cat", name]
        script = run("docker", *entrypoint, "/usr/local/bin/docker-entrypoint.sh", cwd=STAND_INS)
        if "POSTGRES_PASSWORD_FILE" in script or "file_env" in script:
            return f"{name}: as the engine has it"
        build(STAND_INS / "postgres", name, IMAGE=name)
        return f"{name}: a stand-in that reads POSTGRES_PASSWORD_FILE"
    if stand_in:
        build(STAND_INS / stand_in, name, BASE=BASE)
        return f"{name}: a stand-in made of Debian's package"
    # The same Python on another release of Debian.
    if kind == "python" and has_image(other := f"python:{tag.removesuffix('-trixie')}"):
        run("docker", "tag", other, name, cwd=STAND_INS)
        return f"{name}: {other} in its place"
    message = f"The engine neither has nor gets the image {name}."
    raise LookupError(message)


def shared_folder() -> Path:
    """Find a folder that the engine sees under the same path, to mount files from.

    An engine may live in a namespace of its own, where the temporary folder of this
    machine is another one. It sees the folder of its own socket.
    """
    host = os.environ.get("DOCKER_HOST", "")
    candidates = [Path(tempfile.gettempdir())]
    if host.startswith("unix://"):
        candidates.append(Path(host.removeprefix("unix://")).parent)
    for parent in candidates:
        folder = Path(tempfile.mkdtemp(prefix="delivery-", dir=parent))
        (folder / "marker").write_text(folder.name, "utf-8")
        look = ["run", "--rm", "--volume", f"{folder}:/shared:ro", "--entrypoint", "cat"]
        seen = subprocess.run(
            ["docker", *look, BASE, "/shared/marker"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if seen.stdout == folder.name:
            return folder
    looked = " or ".join(map(str, candidates))
    pytest.fail(
        f"The engine does not see {looked} of this machine, so that nothing can be mounted "
        "from there. Set TMPDIR to a folder that both of them have under one path.",
        pytrace=False,
    )
