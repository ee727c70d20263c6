"""The checks behind the readiness probe."""

import anyio

from order_service.core.http.health import ReadinessChecks


async def pass_check() -> None:
    """Pass at once."""


async def fail_check() -> None:
    """Refuse the connection."""
    raise ConnectionRefusedError


async def hang_check() -> None:
    """Never return."""
    await anyio.sleep_forever()


async def test_each_check_has_its_own_result_and_timeout() -> None:
    checks = ReadinessChecks(
        {"passing": pass_check, "failing": fail_check, "hanging": hang_check},
        timeout_seconds=0.05,
    )

    with anyio.fail_after(1):
        results = await checks.run()

    assert results == {"passing": "ok", "failing": "failed", "hanging": "timeout"}


async def test_failed_optional_check_leaves_the_service_ready() -> None:
    checks = ReadinessChecks(
        {"passing": pass_check, "failing": fail_check},
        timeout_seconds=1,
        optional={"failing"},
    )

    assert checks.allow(await checks.run())
    assert not checks.allow({"passing": "timeout", "failing": "ok"})
