"""Push what update_from_template.py has committed, and open a pull request for it.

    python scripts/open_pull_request.py FOLDER

It needs `gh` and its GH_TOKEN. A draft needs a decision: there were conflicts, or the
checks fail.
"""

import json
import subprocess
import sys
from pathlib import Path

REFUSED = """
The branch could not be pushed. The token of a workflow may never change workflows, and a
release of the template often does: make a token that may write contents, pull requests and
workflows, and store it as the secret TEMPLATE_UPDATE_TOKEN.
"""


def main() -> None:
    """Open a pull request, unless this release has one already."""
    folder = Path(sys.argv[1]).resolve()
    if not (folder / "proposal.json").exists():
        print("There is nothing to propose.")
        return
    proposal = json.loads((folder / "proposal.json").read_text("utf-8"))
    name, branch = proposal["branch"], f"refs/heads/{proposal['branch']}"

    subprocess.run(["gh", "auth", "setup-git"], check=True)
    # A user resolves conflicts in this branch: never push to it again.
    search = ["git", "ls-remote", "--exit-code", "origin", branch]
    if subprocess.run(search, check=False).returncode == 0:
        print(f"{name} is there already.")
        return
    push = ["git", "push", "origin", f"{proposal['commit']}:{branch}"]
    if subprocess.run(push, check=False).returncode != 0:
        sys.exit(REFUSED)
    create = ["gh", "pr", "create", "--head", name, "--title", proposal["title"]]
    if proposal["draft"]:
        create.append("--draft")
    create += ["--body-file", "-"]
    subprocess.run(create, input=proposal["body"], encoding="utf-8", check=True)


if __name__ == "__main__":
    main()
