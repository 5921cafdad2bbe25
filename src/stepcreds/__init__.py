"""stepcreds gives one CI step one credential and proves it is dead before the next step starts."""

__version__ = "0.1.0"
