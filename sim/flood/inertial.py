"""Local inertial flow (screening)."""
