"""Merge the newest release of the template into a copy of this repository.

    uv run --only-group template scripts/update_from_template.py FOLDER

The copy is a worktree in FOLDER, so that the checkout here stays unchanged. There the
release's extensions/update.py merges it, because `copier update` would drop the edits in a
file that the release moved or removed. The result is committed, the lock is refreshed and
the checks run. Another script proposes what FOLDER/proposal.json describes:
this one runs code of the template, so it must never get a token.
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
"""A conflict marker: Copier's, or one of this script's."""

CONFLICT = f"(?ms)^{BEGIN} {OURS}$.*?^{END} {THEIRS}$"
"""One conflict, with the lines of both sides."""

COPIER = [sys.executable, "-m", "copier"]

TO_SETTLE = 3
"""The exit status of extensions/update.py when a user has to make a decision."""

SHORT_ADDRESSES = {
    "gh:": "https://github.com/",
    "gl:": "https://gitlab.com/",
    "git+": "",
}
"""A prefix of addresses that Copier accepts and git does not."""

LONGEST_BODY = 60_000
"""The limit of GitHub and GitLab is about 65,000 characters."""


def git(*arguments: str | Path, cwd: Path, accepted: range = range(1)) -> bytes:
    """Run a git command that must exit with an accepted status; return its output."""
    command = ["git", *arguments]
    finished = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, check=False)
    if finished.returncode not in accepted:
        sys.exit(f"git {' '.join(map(str, arguments))} failed.")
    return finished.stdout


def git_lines(*arguments: str, cwd: Path) -> list[str]:
    """Run a git command whose output is a list of NUL-terminated entries."""
    return git(*arguments, cwd=cwd).decode().split("\0")[:-1]


def failure_of(*command: str, cwd: Path) -> str:
    """Run a command without this script's environment.

    Return its output if it fails, and nothing if it succeeds.
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


def newer_release() -> str | None:
    """Return the version of the newest release, unless this service has it."""
    command = [*COPIER, "check-update", "--output-format", "json"]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not finished.stdout.startswith("{"):
        sys.exit("The template in .copier-answers.yml cannot be reached.")
    found = json.loads(finished.stdout)
    return str(found["latest_version"]) if found["update_available"] else None


def answer(work: Path, name: str) -> str:
    """Read _commit or _src_path from a service's answers file."""
    answers = (work / ".copier-answers.yml").read_text("utf-8")
    found = re.search(rf"^{name}: ['\"]?([^\s'\"]+)['\"]?$", answers, re.MULTILINE)
    if found is None:
        sys.exit(f"There is no {name} in .copier-answers.yml.")
    return found[1]


def release_of(work: Path) -> str:
    """Return the release of the template that a service has."""
    return answer(work, "_commit")


def fetch_command(version: str, folder: Path, work: Path) -> Path:
    """Fetch extensions/update.py of a release."""
    source = answer(work, "_src_path")
    for short, long in SHORT_ADDRESSES.items():
        if source.startswith(short):
            source = long + source.removeprefix(short)
    template = folder / "template.git"
    git("clone", "--quiet", "--bare", source, template, cwd=work)
    tags = git("tag", "--list", f"v{version}", version, cwd=template).decode().split()
    command = folder / "update.py"
    shown = f"{tags[0] if tags else 'HEAD'}:extensions/update.py"
    command.write_bytes(git("show", shown, cwd=template))
    return command


def merge_release(version: str, folder: Path, work: Path) -> tuple[str, bool]:
    """Merge a release; return the report, and whether a user has to make a decision."""
    options = ["--defaults", "--skip-answered", "--conflict", "inline", "--quiet"]
    command = [sys.executable, str(fetch_command(version, folder, work)), *options]
    finished = subprocess.run(
        command, cwd=work, stdout=subprocess.PIPE, encoding="utf-8", check=False
    )
    if finished.returncode not in (0, TO_SETTLE):
        sys.exit("The release cannot be merged; the reason is above.")
    return finished.stdout.strip(), finished.returncode == TO_SETTLE


def settle_conflicts(work: Path) -> dict[str, str]:
    """Resolve conflicts with this service's lines, and return their files.

    Other changes of the template to those files stay. No conflict marker is left.
    """
    stages: dict[str, dict[str, bytes]] = {}
    for entry in git_lines("ls-files", "--unmerged", "-z", cwd=work):
        about, _, name = entry.partition("\t")
        _, blob, stage = about.split(" ")
        stages.setdefault(name, {})[stage] = git("cat-file", "blob", blob, cwd=work)

    conflicts = {}
    for name, versions in stages.items():
        if "3" not in versions:
            conflicts[name] = "The release removed it; this service had edited it."
            continue
        with tempfile.TemporaryDirectory() as folder:
            # The order git requires: ours, the common base if there is one, theirs.
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
    """Delete the files of rejected changes, and return their content."""
    rejected = {}
    for name in git_lines("ls-files", "--others", "-z", "--", "*.rej", cwd=work):
        text = (work / name).read_text("utf-8", errors="replace")
        rejected[name.removesuffix(".rej")] = text
        (work / name).unlink()
    return rejected


def changed(work: Path, kinds: str) -> list[str]:
    """Return the files that the next commit changes, filtered as git's --diff-filter."""
    return git_lines("diff", "--cached", "--name-only", "-z", kinds, cwd=work)


def refuse_what_is_unsettled(work: Path) -> None:
    """Exit instead of committing a conflict marker or a rejected change."""
    names = changed(work, "--diff-filter=d")
    search = ["grep", "--cached", "-z", "--name-only", "--extended-regexp", MARKER]
    # Its exit status is 1 without a match.
    found = git(*search, "--", *names, cwd=work, accepted=range(2)) if names else b""
    unsettled = [*found.decode().split("\0")[:-1]]
    unsettled += [name for name in names if name.endswith(".rej")]
    if unsettled:
        sys.exit(f"Nothing is committed: conflicts in {', '.join(unsettled)}.")


def refresh_lock(work: Path) -> str:
    """Update the lock to match pyproject.toml; return the error, if any."""
    failure = failure_of("uv", "lock", cwd=work)
    if failure:
        git("checkout", "--quiet", "--", "uv.lock", cwd=work)
    else:
        git("add", "uv.lock", cwd=work)
    return failure


def check(work: Path) -> str:
    """Install the locked dependencies and run the checks; return any failure."""
    return failure_of("uv", "sync", "--locked", cwd=work) or failure_of(
        "uv", "run", "--no-sync", "poe", "check", cwd=work
    )


def verbatim(text: str) -> str:
    """Indent a text, so that Markdown shows it unchanged."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def described(
    releases: str, conflicts: dict[str, str], report: str, failure: str
) -> str:
    """Write the description for the reviewer."""
    parts = [f"Updates this service from {releases} of the template."]
    if failure:
        parts.append("**The checks fail.** The end of their output:")
        parts.append(verbatim("\n".join(failure.splitlines()[-60:])))
    else:
        parts.append("The checks pass: `uv run poe check` ran on this commit.")
    if conflicts:
        parts.append("## Conflicts")
        parts.append(
            "The service and the release changed the same lines. This branch has the "
            "service's version of them; add what you need of the template's."
        )
        for name, places in conflicts.items():
            parts += [f"### `{name}`", verbatim(places)]
    parts += ["## Report", verbatim(report)]
    body = "\n\n".join(parts)
    if len(body) > LONGEST_BODY:
        body = f"{body[:LONGEST_BODY]}\n\nThe rest is omitted: it is too long."
    return f"{body}\n"


def main() -> None:
    """Merge, commit, run the checks, and write the proposal."""
    root, folder = Path.cwd(), Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True)
    version = newer_release()
    if version is None:
        print(f"{release_of(root)} is the template's newest release.")
        return

    work = folder / "work"
    git("worktree", "add", "--quiet", "--detach", work, "HEAD", cwd=root)
    old = release_of(work)
    report, to_settle = merge_release(version, folder, work)
    new = release_of(work)

    conflicts = settle_conflicts(work) | settle_rejects(work)
    git("add", "--all", cwd=work)
    failure = refresh_lock(work)
    refuse_what_is_unsettled(work)
    title = f"build: take over {new} of the template"
    # Skip the hooks: a change that fails the checks is proposed, too, as a draft.
    git("commit", "--quiet", "--no-verify", "--message", title, cwd=work)
    failure = failure or check(work)

    # For the job that proposes it from another clone.
    bundle = folder / "update.bundle"
    git("bundle", "create", "--quiet", bundle, "HEAD^..HEAD", cwd=work)
    proposal = {
        "branch": f"template-update/{new}",
        "commit": git("rev-parse", "HEAD", cwd=work).decode().strip(),
        "title": title,
        "body": described(f"{old} to {new}", conflicts, report, failure),
        "draft": bool(conflicts or failure or to_settle),
    }
    (folder / "proposal.json").write_text(json.dumps(proposal, indent=2), "utf-8")
    print(proposal["body"])


if __name__ == "__main__":
    main()
