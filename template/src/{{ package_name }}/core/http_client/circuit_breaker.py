"""Circuit breakers: a host that keeps failing is left alone for a moment.

A host's circuit is closed while it answers, and opens after several failures in a
row. Then calls fail at once, instead of waiting for what does not come and keeping a
host down that tries to get up. After the pause one call tries for all: its answer
closes the circuit, its failure starts the next pause.
"""

from dataclasses import dataclass
from enum import Enum, auto
from time import monotonic

import structlog

from ..errors import UpstreamUnavailableError

log = structlog.stdlib.get_logger(__name__)

FAILURES_TO_OPEN = 5
"""How many failures in a row open a circuit."""

PAUSE_SECONDS = 5.0
"""How long an open circuit lets nobody through."""


class CircuitOpenError(UpstreamUnavailableError):
    """The call was not made, because its host has failed too often just now."""

    def __init__(self) -> None:
        """Say what to do without naming the host."""
        super().__init__(
            "A service this one needs keeps failing and is left alone for a moment: "
            "try again later."
        )


class Outcome(Enum):
    """What a call tells about its host."""

    ANSWERED = auto()
    FAILED = auto()
    UNKNOWN = auto()
    """The call ended too early to tell: the caller gave up."""


@dataclass
class _Circuit:
    failures: int = 0
    resume_at: float = 0.0
    is_tried: bool = False

    @property
    def is_open(self) -> bool:
        return self.failures >= FAILURES_TO_OPEN


class CircuitBreakers:
    """A circuit for each host that fails; those that answer need none."""

    def __init__(self) -> None:
        """Know of no failure yet."""
        self._circuits: dict[str, _Circuit] = {}

    def admit(self, host: str) -> bool:
        """Let a call through, and say whether it is the one that tries for all.

        Raises:
            CircuitOpenError: the host's circuit is open.
        """
        circuit = self._circuits.get(host)
        if circuit is None or not circuit.is_open:
            return False
        if circuit.is_tried or monotonic() < circuit.resume_at:
            raise CircuitOpenError
        circuit.is_tried = True
        return True

    def record(self, host: str, outcome: Outcome, *, is_trial: bool) -> None:
        """Take down how a call ended that was let through.

        Args:
            host: Whom it was made to.
            outcome: What it tells.
            is_trial: What ``admit`` said of it.
        """
        circuit = self._circuits.get(host, _Circuit())
        was_open = circuit.is_open
        if was_open and not is_trial:
            # It began before the circuit opened, so it is no news.
            return
        circuit.is_tried = False
        if outcome is Outcome.ANSWERED:
            self._circuits.pop(host, None)
            if was_open:
                log.info("circuit_closed", host=host)
        elif outcome is Outcome.FAILED:
            self._circuits[host] = circuit
            circuit.failures += 1
            circuit.resume_at = monotonic() + PAUSE_SECONDS
            if circuit.is_open and not was_open:
                log.warning("circuit_opened", host=host)
