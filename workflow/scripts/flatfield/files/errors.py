"""Errors that a user can fix: each message is one sentence that says what, where and what to do."""


class FlatfieldError(Exception):
    """Base of all errors that are reported to the user without a traceback."""


class ConfigurationError(FlatfieldError):
    """The configuration asks for something that cannot be done."""


class FrameError(FlatfieldError):
    """A frame cannot be read, or holds no usable mosaic."""


class InventoryError(FlatfieldError):
    """The frames of a set do not belong together."""


class CombinationError(FlatfieldError):
    """Frames cannot be combined as asked."""


class ResourceError(FlatfieldError):
    """Memory or scratch space does not suffice."""


class CalibrationError(FlatfieldError):
    """A flat cannot be applied to a light frame."""
