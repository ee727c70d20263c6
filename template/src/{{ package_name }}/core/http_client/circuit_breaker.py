"""Circuit breakers: calls to a host that keeps failing are refused for a moment.

A host's circuit is closed while it responds, and opens after several failures in a
row. Then calls fail at once, instead of waiting for their timeout and keeping the host
overloaded. After the pause the circuit is half-open: one probe call is let through. Its
response closes the circuit, its failure starts the next pause.
"""

from dataclasses import dataclass
from enum import Enum, auto
from time import monotonic

import structlog

from .errors import UpstreamUnavailableError

log = structlog.stdlib.get_logger(__name__)

FAILURES_TO_OPEN = 5
"""How many failures in a row open a circuit."""

PAUSE_SECONDS = 5.0
"""How long an open circuit refuses all calls."""


class CircuitOpenError(UpstreamUnavailableError):
    """The call was not made, because its host has failed too often just now."""

    def __init__(self) -> None:
        """Suggest a retry, without naming the host."""
        super().__init__("A service this one needs keeps failing: try again later.")


class Outcome(Enum):
    """What a call shows about its host."""

    ANSWERED = auto()
    FAILED = auto()
    UNKNOWN = auto()
    """The call ended too early to know: the caller gave up."""


@dataclass
class _Circuit:
    failures: int = 0
    resume_at: float = 0.0
    is_probed: bool = False

    @property
    def is_open(self) -> bool:
        return self.failures >= FAILURES_TO_OPEN


class CircuitBreakers:
    """A circuit for each host that fails; those that respond need none."""

    def __init__(self) -> None:
        """Know of no failure yet."""
        self._circuits: dict[str, _Circuit] = {}

    def admit(self, host: str) -> bool:
        """Let a call through, and return whether it is the half-open probe.

        Raises:
            CircuitOpenError: the host's circuit is open.
        """
        circuit = self._circuits.get(host)
        if circuit is None or not circuit.is_open:
            return False
        if circuit.is_probed or monotonic() < circuit.resume_at:
            raise CircuitOpenError
        circuit.is_probed = True
        return True

    def record(self, host: str, outcome: Outcome, *, is_probe: bool) -> None:
        """Record how a call ended that was let through.

        Args:
            host: Its host.
            outcome: How it ended.
            is_probe: What ``admit`` returned.
        """
        circuit = self._circuits.get(host, _Circuit())
        was_open = circuit.is_open
        if was_open and not is_probe:
            # It began before the circuit opened, so it adds nothing.
            return
        circuit.is_probed = False
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
