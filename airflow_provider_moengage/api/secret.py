"""Texts that do not show themselves: debuggers, tracebacks with locals and error trackers print the ``repr``."""

from __future__ import annotations

HIDDEN = "'***'"


class Secret(str):
    """A text whose ``repr`` hides it, also inside the dicts and lists that hold it; ``str`` gives what it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN


class SecretBytes(bytes):
    """The same of bytes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN


def without_frames_below(error: BaseException, handled: BaseException | None) -> None:
    """
    Take from an error, and from those that led to it, the frames of whatever the calling function called.

    What is left is the calling function's own frame: those of the HTTP libraries hold the request's headers and body in
    their locals, as they are on the wire.

    :param handled: the exception that was being handled when the calling function began; it is somebody else's.
    """
    if error.__traceback__ is not None:
        error.__traceback__.tb_next = None
    seen = {id(error), id(handled)}
    pending = _inside(error)
    while pending:
        inner = pending.pop()
        if id(inner) not in seen:
            seen.add(id(inner))
            inner.__traceback__ = None
            pending += _inside(inner)


def _inside(error: BaseException) -> list[BaseException]:
    """Return the errors that an error carries: urllib3 and requests keep them in their arguments too."""
    carried = (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args)
    return [one for one in carried if isinstance(one, BaseException)]
