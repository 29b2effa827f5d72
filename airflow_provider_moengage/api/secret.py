"""Strings whose ``repr`` is masked, since debuggers, tracebacks with locals and error trackers print it."""

from __future__ import annotations

HIDDEN = "'***'"


class Secret(str):
    """A string with a masked ``repr``, also inside dicts and lists; ``str`` returns the real value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN


class SecretBytes(bytes):
    """Bytes with a masked ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN


def without_frames_below(error: BaseException, handled: BaseException | None) -> None:
    """
    Remove the frames below the calling function from an error and from those that caused it.

    The locals of the HTTP libraries' frames hold the request's headers and body.

    :param handled: the exception that was being handled when the calling function began; it is left alone.
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
    """Return the errors inside an error: urllib3 and requests keep them in their arguments too."""
    carried = (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args)
    return [one for one in carried if isinstance(one, BaseException)]
