"""A tenant on the loopback interface that answers as the real services do, and misbehaves when told to."""

from fake_tenant.server import FakeTenant
from fake_tenant.tokens import FakeClock, FakeTokens

__all__ = ["FakeClock", "FakeTenant", "FakeTokens"]
