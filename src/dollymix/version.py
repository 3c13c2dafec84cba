"""The version of this package; part of what makes the output bytes."""

__version__ = "0.1.0"
