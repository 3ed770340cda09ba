"""Who runs which Power Automate flow, with which rights, and what stops when they leave."""

__version__ = "0.1.0"
