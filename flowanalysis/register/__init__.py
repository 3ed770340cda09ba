"""The register of service accounts: what a company says about them, and how reality differs."""

from flowanalysis.register.check import DIFFERENCES, check_register
from flowanalysis.register.entries import approved, members, named_purpose, purposes
from flowanalysis.register.file import read, write
from flowanalysis.register.reality import draft

__all__ = [
    "DIFFERENCES",
    "approved",
    "check_register",
    "draft",
    "members",
    "named_purpose",
    "purposes",
    "read",
    "write",
]
