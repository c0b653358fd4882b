"""How often something that fails is tried again, and how often that is logged."""

from __future__ import annotations

RETRY_MIN_S, RETRY_MAX_S = 1.0, 5.0
LOG_GAP_MIN_S, LOG_GAP_MAX_S = 10.0, 300.0


class Patience:
    """After failures: how long to wait before the next try, and which ones to log, with gaps that double."""

    def __init__(self) -> None:
        self.succeeded()

    def succeeded(self) -> None:
        """Forget the failures."""
        self.failures = 0
        self.retry_s = RETRY_MIN_S
        self._log_gap_s = LOG_GAP_MIN_S
        self._log_at = float("-inf")

    def failed(self, now_s: float) -> bool:
        """Count a failure; say whether to log it."""
        self.failures += 1
        if self.failures > 1:
            self.retry_s = min(self.retry_s * 1.5, RETRY_MAX_S)
        if now_s < self._log_at:
            return False
        self._log_at = now_s + self._log_gap_s
        self._log_gap_s = min(self._log_gap_s * 2, LOG_GAP_MAX_S)
        return True
