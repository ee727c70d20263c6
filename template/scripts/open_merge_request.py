"""Push what update_from_template.py has committed, and open a merge request for it.

    python scripts/open_merge_request.py FOLDER

It runs in a GitLab job, whose variables name the server and the project.
TEMPLATE_UPDATE_TOKEN is a project access token that may use the API and write the
repository: the token of a job may do neither. A draft needs a decision: there were
conflicts, or the checks fail.
"""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

# Git runs this for user name and password, so that no command line contains the token.
HELPER = "!f() { echo username=template; echo password=$TEMPLATE_UPDATE_TOKEN; }; f"

REFUSED = """
The branch could not be pushed: see TEMPLATE_UPDATE_TOKEN in this script's docstring.
"""


def git(*arguments: str) -> bool:
    """Run a git command with the token; return whether it succeeded."""
    helpers = ["-c", "credential.helper=", "-c", f"credential.helper={HELPER}"]
    return subprocess.run(["git", *helpers, *arguments], check=False).returncode == 0


def main() -> None:
    """Open a merge request, unless this release has one already."""
    folder = Path(sys.argv[1]).resolve()
    if not (folder / "proposal.json").exists():
        print("There is nothing to propose.")
        return
    proposal = json.loads((folder / "proposal.json").read_text("utf-8"))
    branch = f"refs/heads/{proposal['branch']}"
    repository = f"{os.environ['CI_PROJECT_URL']}.git"
    project = f"{os.environ['CI_API_V4_URL']}/projects/{os.environ['CI_PROJECT_ID']}"

    # A user resolves conflicts in this branch: never push to it again.
    if git("ls-remote", "--exit-code", repository, branch):
        print(f"{proposal['branch']} is there already.")
        return
    # The commit was made in another job, whose checkout is gone.
    git("fetch", "--quiet", str(folder / "update.bundle"), "HEAD")
    if not git("push", repository, f"{proposal['commit']}:{branch}"):
        sys.exit(REFUSED)
    content = {
        "source_branch": proposal["branch"],
        "target_branch": os.environ["CI_DEFAULT_BRANCH"],
        "title": f"{'Draft: ' if proposal['draft'] else ''}{proposal['title']}",
        "description": proposal["body"],
        "remove_source_branch": True,
    }
    request = urllib.request.Request(  # noqa: S310 - The URL of GitLab's API is GitLab's.
        f"{project}/merge_requests",
        data=json.dumps(content).encode(),
        headers={
            "Content-Type": "application/json",
            "PRIVATE-TOKEN": os.environ["TEMPLATE_UPDATE_TOKEN"],
        },
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - As above.
        print(json.load(response)["web_url"])


if __name__ == "__main__":
    main()
