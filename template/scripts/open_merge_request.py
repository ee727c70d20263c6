"""Push what update_from_template.py has committed, and open a merge request for it.

    python scripts/open_merge_request.py FOLDER

It runs in a job of GitLab, whose variables say where to. TEMPLATE_UPDATE_TOKEN is a token
of the project that may use the API and write the repository: that of a job may do neither.
A draft says that somebody has to look first: there were conflicts, or the checks fail.
"""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

# Git asks this for a name and a password, so the token is in no command line.
HELPER = "!f() { echo username=template; echo password=$TEMPLATE_UPDATE_TOKEN; }; f"

REFUSED = """
The branch could not be pushed: see what this script says about TEMPLATE_UPDATE_TOKEN.
"""


def git(*arguments: str) -> bool:
    """Run a git command with the token at hand; tell whether it succeeded."""
    helpers = ["-c", "credential.helper=", "-c", f"credential.helper={HELPER}"]
    return subprocess.run(["git", *helpers, *arguments], check=False).returncode == 0


def main() -> None:
    """Propose, unless this release has been proposed before."""
    folder = Path(sys.argv[1]).resolve()
    if not (folder / "proposal.json").exists():
        print("There is nothing to propose.")
        return
    proposal = json.loads((folder / "proposal.json").read_text("utf-8"))
    branch = f"refs/heads/{proposal['branch']}"
    repository = f"{os.environ['CI_PROJECT_URL']}.git"
    project = f"{os.environ['CI_API_V4_URL']}/projects/{os.environ['CI_PROJECT_ID']}"

    # Whoever settles conflicts does so in this branch: it is never pushed again.
    if git("ls-remote", "--exit-code", repository, branch):
        print(f"{proposal['branch']} is there already.")
        return
    # The commit was made in another job.
    git("fetch", "--quiet", str(folder / "update.bundle"), "HEAD")
    if not git("push", repository, f"{proposal['commit']}:{branch}"):
        sys.exit(REFUSED)
    asked = {
        "source_branch": proposal["branch"],
        "target_branch": os.environ["CI_DEFAULT_BRANCH"],
        "title": f"{'Draft: ' if proposal['draft'] else ''}{proposal['title']}",
        "description": proposal["body"],
        "remove_source_branch": True,
    }
    request = urllib.request.Request(  # noqa: S310 - GitLab says where its API is.
        f"{project}/merge_requests",
        data=json.dumps(asked).encode(),
        headers={
            "Content-Type": "application/json",
            "PRIVATE-TOKEN": os.environ["TEMPLATE_UPDATE_TOKEN"],
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - As above.
        print(json.load(answer)["web_url"])


if __name__ == "__main__":
    main()
