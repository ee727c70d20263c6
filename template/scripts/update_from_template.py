"""Merge the newest release of the template into a copy of this repository.

    uv run --only-group template scripts/update_from_template.py FOLDER

The copy is a worktree in FOLDER, so that nothing of what is checked out here changes.
There the release is merged and committed, the lock is refreshed and the checks run. What
came out is in FOLDER/proposal.json, which another script proposes: this one runs what the
template brings, so it must never be given a token.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

OURS, THEIRS = "this service", "the template"

BEGIN, END = "<" * 7, ">" * 7

MARKER = f"^({BEGIN} (before updating|{OURS})|{END} (after updating|{THEIRS}))"
"""A line that begins or ends a conflict: Copier's, or one of those that are made here."""

CONFLICT = f"(?ms)^{BEGIN} {OURS}$.*?^{END} {THEIRS}$"
"""One place that both have changed, with the lines of either."""

COPIER = [sys.executable, "-m", "copier"]

LONGEST_BODY = 60_000
"""No platform takes more than about 65,000 characters."""


def git(*arguments: str | Path, cwd: Path, accepted: range = range(1)) -> bytes:
    """Run a git command that has to end with an accepted status; return what it printed."""
    command = ["git", *arguments]
    finished = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, check=False)
    if finished.returncode not in accepted:
        sys.exit(f"git {' '.join(map(str, arguments))} failed.")
    return finished.stdout


def git_lines(*arguments: str, cwd: Path) -> list[str]:
    """Run a git command whose output is a list, its entries ended by NUL."""
    return git(*arguments, cwd=cwd).decode().split("\0")[:-1]


def failure_of(*command: str, cwd: Path) -> str:
    """Run a command as if nothing of this script's environment were there.

    Returns what it printed if it fails, and nothing if it succeeds.
    """
    hidden = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"}
    finished = subprocess.run(
        command,
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name not in hidden},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return finished.stdout or "It printed nothing." if finished.returncode != 0 else ""


def newer_release_exists() -> bool:
    """Ask the template whether there is a release that this service does not have."""
    command = [*COPIER, "check-update", "--output-format", "json"]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not finished.stdout.startswith("{"):
        sys.exit("The template in .copier-answers.yml cannot be reached.")
    return bool(json.loads(finished.stdout)["update_available"])


def release_of(work: Path) -> str:
    """Read which release of the template a service has."""
    answers = (work / ".copier-answers.yml").read_text("utf-8")
    found = re.search(r"^_commit: ['\"]?([^\s'\"]+)['\"]?$", answers, re.MULTILINE)
    if found is None:
        sys.exit("There is no _commit in .copier-answers.yml.")
    return found[1]


def settle_conflicts(work: Path) -> dict[str, str]:
    """Keep this service's lines wherever both changed the same ones, and say which.

    Every other change of the template to those files stays. No marker is left behind.
    """
    stages: dict[str, dict[str, bytes]] = {}
    for entry in git_lines("ls-files", "--unmerged", "-z", cwd=work):
        about, _, name = entry.partition("\t")
        _, blob, stage = about.split(" ")
        stages.setdefault(name, {})[stage] = git("cat-file", "blob", blob, cwd=work)

    conflicts = {}
    for name, versions in stages.items():
        with tempfile.TemporaryDirectory() as folder:
            # The order git wants: ours, what both began with if they did, theirs.
            files = [Path(folder, stage) for stage in ("2", "1", "3")]
            for file in files:
                file.write_bytes(versions.get(file.name, b""))
            merge = ["merge-file", "-p", "-L", OURS, "-L", "before", "-L", THEIRS]
            # Its status is the number of conflicts.
            marked = git(*merge, *files, cwd=work, accepted=range(128))
            (work / name).write_bytes(git(*merge, "--ours", *files, cwd=work))
        places = re.findall(CONFLICT, marked.decode(errors="replace"))
        conflicts[name] = "\n\n".join(places)
    return conflicts


def settle_rejects(work: Path) -> dict[str, str]:
    """Delete the files that hold what found no place, and say what was in them."""
    rejected = {}
    for name in git_lines("ls-files", "--others", "-z", "--", "*.rej", cwd=work):
        text = (work / name).read_text("utf-8", errors="replace")
        rejected[name.removesuffix(".rej")] = text
        (work / name).unlink()
    return rejected


def changed(work: Path, kinds: str) -> list[str]:
    """Name the files that the next commit changes, as git's --diff-filter sorts them."""
    return git_lines("diff", "--cached", "--name-only", "-z", kinds, cwd=work)


def refuse_what_is_unsettled(work: Path) -> None:
    """Stop rather than commit a conflict marker or a rejected change."""
    names = changed(work, "--diff-filter=d")
    search = ["grep", "--cached", "-z", "--name-only", "--extended-regexp", MARKER]
    # Its status is 1 where nothing is found.
    found = git(*search, "--", *names, cwd=work, accepted=range(2)) if names else b""
    unsettled = [*found.decode().split("\0")[:-1]]
    unsettled += [name for name in names if name.endswith(".rej")]
    if unsettled:
        sys.exit(f"Nothing is committed: conflicts in {', '.join(unsettled)}.")


def refresh_lock(work: Path) -> str:
    """Bring the lock in step with pyproject.toml; return what went wrong, if anything."""
    failure = failure_of("uv", "lock", cwd=work)
    if failure:
        git("checkout", "--quiet", "--", "uv.lock", cwd=work)
    else:
        git("add", "uv.lock", cwd=work)
    return failure


def check(work: Path) -> str:
    """Install what the lock says and run the checks; return their output if they fail."""
    return failure_of("uv", "sync", "--locked", cwd=work) or failure_of(
        "uv", "run", "--no-sync", "poe", "check", cwd=work
    )


def verbatim(text: str) -> str:
    """Indent a text, so that nothing in it is taken for Markdown."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def described(
    releases: str, conflicts: dict[str, str], deleted: list[str], failure: str
) -> str:
    """Write what whoever reviews the change has to know."""
    parts = [f"Takes this service from {releases} of the template."]
    if failure:
        parts.append("**The checks fail.** The end of what they printed:")
        parts.append(verbatim("\n".join(failure.splitlines()[-60:])))
    else:
        parts.append("The checks pass: `uv run poe check` ran on this very commit.")
    if conflicts:
        parts.append("## Conflicts")
        parts.append(
            "Both sides have changed these places. The lines of this service were "
            "kept; those of the template are missing until somebody takes them over "
            "in this branch."
        )
        for name, places in conflicts.items():
            parts += [f"### `{name}`", verbatim(places)]
    if deleted:
        parts.append("## Deleted files")
        parts.append("Whatever this service had changed in them is gone with them.")
        parts.append("\n".join(f"- `{name}`" for name in deleted))
    body = "\n\n".join(parts)
    if len(body) > LONGEST_BODY:
        body = f"{body[:LONGEST_BODY]}\n\nThe rest is too long to be shown here."
    return f"{body}\n"


def main() -> None:
    """Merge, commit, check, and write down what came out."""
    root, folder = Path.cwd(), Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True)
    if not newer_release_exists():
        print(f"{release_of(root)} is the template's newest release.")
        return

    work = folder / "work"
    git("worktree", "add", "--quiet", "--detach", work, "HEAD", cwd=root)
    old = release_of(work)
    update = [*COPIER, "update", "--defaults", "--skip-answered"]
    subprocess.run([*update, "--conflict", "inline", "--quiet"], cwd=work, check=True)
    new = release_of(work)

    conflicts = settle_conflicts(work) | settle_rejects(work)
    git("add", "--all", cwd=work)
    failure = refresh_lock(work)
    refuse_what_is_unsettled(work)
    deleted = changed(work, "--diff-filter=D")
    title = f"build: take over {new} of the template"
    # No hook may stop it: a change that fails the checks is proposed, too, as a draft.
    git("commit", "--quiet", "--no-verify", "--message", title, cwd=work)
    failure = failure or check(work)

    # For whoever proposes it from another clone.
    bundle = folder / "update.bundle"
    git("bundle", "create", "--quiet", bundle, "HEAD^..HEAD", cwd=work)
    proposal = {
        "branch": f"template-update/{new}",
        "commit": git("rev-parse", "HEAD", cwd=work).decode().strip(),
        "title": title,
        "body": described(f"{old} to {new}", conflicts, deleted, failure),
        "draft": bool(conflicts or failure),
    }
    (folder / "proposal.json").write_text(json.dumps(proposal, indent=2), "utf-8")
    print(proposal["body"])


if __name__ == "__main__":
    main()
