"""What the engine refuses, as sentences for a person."""


class ShapeError(ValueError):
    """Two shapes that do not fit together; the message names both."""


class RefusedArgument(ValueError):  # noqa: N818 - it reads as what it says
    """An argument that torch accepts and the engine does not; the message names function and argument."""

    def __init__(self, function: str, argument: str, why: str):
        super().__init__(f"{function}: this value of '{argument}' is not offered ({why})")
        self.function = function
        self.argument = argument
