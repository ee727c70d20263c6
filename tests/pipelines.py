"""Pipelines, parsed like their platforms do."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.answers import ALL_OFF, ALL_ON, Answers

GITHUB: dict[str, Answers] = {
    "defaults": {},
    "all-on": ALL_ON,
    "all-off": {**ALL_OFF, "dependency_bot": "dependabot"},
    "sqlite": {"database": "sqlite", "python_version": "3.14", "dependency_bot": "none"},
}
GITLAB: dict[str, Answers] = {
    "gitlab": {"ci": "gitlab"},
    "gitlab-all-on": {**ALL_ON, "ci": "gitlab", "dependency_bot": "none"},
    "gitlab-all-off": {**ALL_OFF, "ci": "gitlab", "dependency_bot": "none"},
    "gitlab-sqlite": {"ci": "gitlab", "database": "sqlite", "python_version": "3.14"},
}

Document = dict[str, Any]


def read_workflow(path: Path) -> Document:
    """Read a workflow of GitHub. PyYAML parses the key `on` as true."""
    document: Document = yaml.safe_load(re.sub(r"(?m)^on:", '"on":', path.read_text("utf-8")))
    return document


def workflows(folder: Path) -> dict[str, Document]:
    """Read all workflows of a repository, by the names of their files."""
    return {
        path.name: read_workflow(path)
        for path in sorted((folder / ".github" / "workflows").glob("*.yml"))
    }


def read_gitlab(service: Path) -> Document:
    """Read the pipeline of GitLab, with what it includes."""
    document: Document = {}
    for name in (".gitlab-ci.yml", ".gitlab/template-update.yml"):
        if (path := service / name).exists():
            document |= yaml.safe_load(path.read_text("utf-8"))
    return document


def gitlab_jobs(document: Document) -> dict[str, Document]:
    """Return the runnable jobs, each merged with its `extends` and the defaults."""
    reserved = {"default", "include", "stages", "variables", "workflow"}
    return {
        name: document["default"] | extended(document, name)
        for name in document
        if name not in reserved and not name.startswith(".")
    }


def extended(document: Document, name: str) -> Document:
    """Merge a job with those that it extends; maps are merged, and other values replaced."""
    job = document[name]
    parents = job.get("extends", [])
    merged: Document = {}
    for layer in [parents] if isinstance(parents, str) else parents:
        merged = laid_over(merged, extended(document, layer))
    return laid_over(merged, job)


def laid_over(below: Document, above: Document) -> Document:
    """Merge two layers."""
    both = {
        key: laid_over(below[key], above[key])
        for key in below.keys() & above.keys()
        if isinstance(below[key], dict) and isinstance(above[key], dict)
    }
    return below | above | both


def verbs(steps: list[str]) -> list[str]:
    """Return the verbs that steps run, in their order."""
    return [found[1] for step in steps if (found := re.match(r"uv run poe (\w+)", step))]


def run_steps(job: Document) -> list[str]:
    """List the commands of a job of GitHub."""
    return [step["run"] for step in job.get("steps", []) if "run" in step]
