"""The update command rewrites imports of moved modules, and no other text."""

from typing import Any

import pytest

from tests.releases import command_module

OLD = {
    "src/shop/__init__.py": "",
    "src/shop/core/__init__.py": "",
    "src/shop/core/database.py": "def connect(): ...\nclass Base: ...\n",
    "src/shop/core/settings.py": "class ServiceSettings: ...\nclass SettingsError: ...\n",
    "src/shop/core/errors.py": "class ServiceError: ...\n",
    "src/shop/core/telemetry.py": "def measure(): ...\ndef obsolete(): ...\n",
    "src/shop/items/router.py": "router = 1\n",
}
NEW = {
    "src/shop/__init__.py": "",
    "src/shop/core/__init__.py": "",
    "src/shop/core/database/__init__.py": "",
    "src/shop/core/database/session.py": "def connect(): ...\nclass Base: ...\n",
    "src/shop/core/http/settings.py": "class SettingsError: ...\n",
    "src/shop/core/settings.py": "class ServiceSettings: ...\n",
    "src/shop/core/errors.py": "class ServiceError: ...\n",
    "src/shop/core/metrics/measuring.py": "def measure(): ...\n",
    "src/shop/items/router.py": "router = 1\n",
}
MANIFEST = """
["1.0.0".moved]
"src/{package}/core/database.py" = "src/{package}/core/database/session.py"
["1.0.0".removed]
"src/{package}/core/telemetry.py" = "Each capability has its own."
"""


def rewritten(source: str, path: str, new_path: str | None = None) -> Any:  # noqa: ANN401
    """Rewrite a file of a service, which may itself have moved."""
    command = command_module()
    old, new = (
        command.Modules({name: text.encode() for name, text in tree.items()}) for tree in (OLD, NEW)
    )
    imports = command.Imports(old, new, command.Moves(MANIFEST, "", "shop"))
    return command.Rewriter(imports, source.encode(), path, new_path or path).run()


SPLIT = """\
if True:
    from ..core.settings import (
        ServiceSettings,
        SettingsError as E,  # rare
    )
"""
SPLIT_AFTER = """\
if True:
    # rare
    from ..core.http.settings import SettingsError as E
    from ..core.settings import ServiceSettings
"""

OWN = "src/shop/orders/service.py"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from ..core.database import Base\n", "from ..core.database.session import Base\n"),
        ("from shop.core.database import Base\n", "from shop.core.database.session import Base\n"),
        (
            "from ..core.database import (  # why\n    Base,\n    connect,  # Y\n)\n",
            "from ..core.database.session import (  # why\n    Base,\n    connect,  # Y\n)\n",
        ),
        (
            "def f():\n    from ..core.database import Base; return Base\n",
            "def f():\n    from ..core.database.session import Base; return Base\n",
        ),
        # A module of the same name is now a package, so the name is bound to what it was.
        (
            "from ..core import database\n\ndatabase.connect()\n",
            "from ..core.database import session as database\n\ndatabase.connect()\n",
        ),
        (
            "from ..core import database as d, errors\n\nd.connect()\n",
            "from ..core import errors\nfrom ..core.database import session as d\n\nd.connect()\n",
        ),
        (
            "import shop.core.database as db\n\ndb.connect()\n",
            "import shop.core.database.session as db\n\ndb.connect()\n",
        ),
        # One statement for each module, comments first.
        (
            SPLIT,
            SPLIT_AFTER,
        ),
        # The module is removed, but its content is elsewhere.
        (
            "from ..core.telemetry import measure\n",
            "from ..core.metrics.measuring import measure\n",
        ),
        (
            "é = 1; from ..core.database import Base\n",
            "é = 1; from ..core.database.session import Base\n",
        ),
    ],
)
def test_an_import_of_a_moved_module_is_rewritten(before: str, after: str) -> None:
    done = rewritten(before, OWN)

    assert done.source.decode() == after
    assert not done.unresolved
    # A second run changes nothing.
    assert rewritten(after, OWN).source.decode() == after


@pytest.mark.parametrize(
    "source",
    [
        "from ..core.errors import ServiceError\n",
        "from ..core.settings import ServiceSettings\n",
        "from .models import Base\n",
        "from other.core.database import Base\n",
        "import shop.core.errors\n",
        '"""from ..core.database import Base"""\n',
        "# from ..core.database import Base\n",
        "not python (\n",
    ],
)
def test_other_text_is_unchanged(source: str) -> None:
    done = rewritten(source, OWN)

    assert (done.source.decode(), done.changed, done.unresolved) == (source, False, [])


@pytest.mark.parametrize(
    ("source", "reported"),
    [
        ("\nfrom ..core.telemetry import obsolete\n", "2: from ..core.telemetry import obsolete"),
        ("import shop.core.database\n", "1: import shop.core.database"),
        ("from ..core import telemetry\n", "1: from ..core import telemetry"),
        ('patch("shop.core.database.connect")\n', '1: "shop.core.database.connect"'),
        ('patch("shop.core.telemetry")\n', '1: "shop.core.telemetry"'),
    ],
)
def test_import_that_cannot_be_rewritten_is_reported(source: str, reported: str) -> None:
    done = rewritten(source, OWN)

    assert (done.source.decode(), done.unresolved) == (source, [reported])


def test_relative_imports_of_moved_file_keep_their_targets() -> None:
    source = (
        "from ..items.router import router\n"
        "from .errors import ServiceError\n"
        "from . import errors\n"
        "from .telemetry import measure\n"
        "import shop.core.errors\n"
    )

    moved = "src/shop/core/database/session.py"
    done = rewritten(source, "src/shop/core/database.py", moved)

    assert done.source.decode() == (
        "from ...items.router import router\n"
        "from ..errors import ServiceError\n"
        "from .. import errors\n"
        "from ..metrics.measuring import measure\n"
        "import shop.core.errors\n"
    )


def test_development_code_is_imported_absolutely() -> None:
    source = "from .core.database import Base\n"

    done = rewritten(source, "src/shop/development.py", "src/shop_dev/environment.py")

    assert done.source.decode() == "from shop.core.database.session import Base\n"
