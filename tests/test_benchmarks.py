"""The benchmarks are started by one command; none of them runs here."""

import re
import sys

from tests.answers import ROOT
from tests.commands import run


def test_benchmarks_describe_their_options() -> None:
    printed = run(sys.executable, "-m", "benchmarks", "--help", cwd=ROOT)

    readme = (ROOT / "benchmarks/README.md").read_text("utf-8")
    options = set(re.findall(r"--[a-z]+", readme.partition("## What")[0])) - {"--help"}
    assert len(options) > 6
    assert {option for option in options if option not in printed} == set()
