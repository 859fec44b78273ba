"""The shop's own clock."""

from datetime import datetime, timezone


class Clock:
    def utcnow(self):
        return datetime.now(timezone.utc)


clock = Clock()
