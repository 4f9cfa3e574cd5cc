"""What a user can mend.

Commands show these as one sentence; any other exception is a defect and keeps its traceback.
"""


class ConfigError(ValueError):
    """A configuration that cannot be used: names the key, what was expected and what was given."""


class InputError(ValueError):
    """A file or array that cannot be used: names it, what was expected and what was found."""
