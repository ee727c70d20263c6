"""The engine, and services that are built and run on it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.answers import Answers
from tests.commands import run
from tests.conftest import Render
from tests.delivery.engine import BASE, provide_image, require_engine, shared_folder
from tests.delivery.project import Project

OURS = Path(__file__).parent


# First, because the groups are read in the same moment.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark these tests, and keep each file on one worker: its tests share containers."""
    for item in items:
        if OURS in item.path.parents:
            item.add_marker(pytest.mark.delivery)
            item.add_marker(pytest.mark.slow)
            if not item.get_closest_marker("xdist_group"):
                item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="session")
def engine() -> Iterator[Path]:
    """Require an engine; give a folder that it sees, too."""
    require_engine()
    provide_image(BASE)
    folder = shared_folder()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def make_project(engine: Path, render: Render) -> Iterator[Callable[[str, Answers], Project]]:
    """Render services into folders that the engine sees, with their locks."""
    with ExitStack() as stack:

        def making(name: str, answers: Answers) -> Project:
            folder = shutil.copytree(render(answers), engine / name)
            run("uv", "lock", "--quiet", cwd=folder)
            project = Project(name, folder)
            stack.callback(project.remove)
            return project

        yield making


@pytest.fixture(scope="session")
def stand_ins() -> Callable[[Project], set[str]]:
    """Have the images of a project's services, and say which services lack theirs."""

    def providing(project: Project) -> set[str]:
        lacking = set()
        for service, image in project.foreign_images().items():
            try:
                print(provide_image(image))
            except LookupError as error:
                print(error)
                lacking.add(service)
        return lacking

    return providing
