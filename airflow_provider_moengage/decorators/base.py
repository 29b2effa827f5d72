"""What all decorators share: a function is called for the rows of an operator."""

from __future__ import annotations

import inspect
from collections import ChainMap
from collections.abc import Callable, Collection, Mapping, Sequence
from types import CodeType
from typing import Any

from airflow_provider_moengage._compat import (
    Context,
    DecoratedOperator,
    TaskDecorator,
    determine_kwargs,
    task_decorator_factory,
)
from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.read.function_rows import FunctionRows
from airflow_provider_moengage.delivery.read.sources import Rows
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.operators.base import MoEngageSendOperator

#: Parameters of the other sources of rows.
SOURCES = ("sql", "sql_conn_id", "parameters", "path", "sql_hook_params")


def decorated_fields(operator: type[MoEngageSendOperator]) -> tuple[str, ...]:
    """Return the templated fields of a decorated operator: the function's arguments, and never its rows."""
    rows = (operator.operation.rows, *SOURCES)
    return (
        *DecoratedOperator.template_fields,
        *(name for name in operator.template_fields if name not in rows),
    )


class MoEngageDecoratedOperator(DecoratedOperator, MoEngageSendOperator):
    """
    Calls a function and sends the rows that it returns or yields; the other base class is an operator.

    :param python_callable: the function.
    :param op_args: its positional arguments. Templated.
    :param op_kwargs: its keyword arguments. Templated.
    :param kwargs: parameters of the operator, but for those of its source.
    :raises MoEngageParameterError: a parameter belongs to another source of rows.
    """

    custom_operator_name: str
    # An argument that ends in .sql is the function's matter.
    template_ext: Sequence[str] = ()

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        check_parameters((self.operation.rows, *SOURCES), kwargs, self.custom_operator_name)
        # The function is called when the task runs.
        kwargs[self.operation.rows] = Rows([], self.operation.rows)
        super().__init__(python_callable=python_callable, op_args=op_args, op_kwargs=op_kwargs, **kwargs)

    def compared(self) -> dict[str, Any]:
        """Return the function's code and arguments."""
        return {
            "function": code_of(self.python_callable),
            "op_args": [_compared(one) for one in self.op_args],
            "op_kwargs": {name: _compared(one) for name, one in self.op_kwargs.items()},
        }

    def _run(self, context: Context, *, deferred: bool = False) -> Report:
        def call() -> object:
            known = ChainMap(dict(self.op_kwargs), context)  # type: ignore[arg-type]
            kwargs = determine_kwargs(self.python_callable, self.op_args, known)
            return self.python_callable(*self.op_args, **kwargs)

        rows = self.operation.rows
        setattr(self, rows, FunctionRows(call, self.python_callable.__name__, rows))
        return super()._run(context, deferred=deferred)


def decorated(
    operator: type[MoEngageDecoratedOperator],
    python_callable: Callable[..., Any] | None,
    arguments: dict[str, Any],
) -> TaskDecorator:
    """
    Return a decorator, or the task of a function.

    :param python_callable: the function; None: the decorator is called with arguments first.
    :param arguments: the operator's parameters.
    :raises MoEngageParameterError: an argument belongs to another source of rows, or the function is asynchronous.
    """
    name = operator.custom_operator_name
    check_parameters((operator.operation.rows, *SOURCES), arguments, name)
    if arguments.pop("multiple_outputs", False):
        raise MoEngageParameterError(
            f"multiple_outputs is True, but {name} returns the report as one XCom; leave it out"
        )

    def decorate(function: Callable[..., Any]) -> Any:
        check_function(function, name)
        # A function annotated with dict would otherwise turn it on.
        return task_decorator_factory(
            function, multiple_outputs=False, decorated_operator_class=operator, **arguments
        )

    # The two forms of a decorator have one type in Airflow.
    either: Any = decorate if python_callable is None else decorate(python_callable)
    return either  # type: ignore[no-any-return]


def check_parameters(sources: Sequence[str], arguments: Collection[str], decorator: str) -> None:
    """
    Check that no argument belongs to another source of rows than the function.

    :param sources: the parameters that do.
    :raises MoEngageParameterError: one does.
    """
    for source in sources:
        if source in arguments:
            raise MoEngageParameterError(
                f"{source} is given to {decorator}, which sends what the function returns; leave it out, or use the operator"
            )


def check_function(function: object, decorator: str) -> None:
    """
    Check that a function can return rows.

    :raises MoEngageParameterError: it is none, or an asynchronous one.
    """
    if not callable(function):
        raise MoEngageParameterError(
            f"{decorator} is given {type(function).__name__} in place of a function; name its arguments, as in "
            f"{decorator}(max_rejected=5)"
        )
    plain = inspect.unwrap(function)
    if not hasattr(function, "__name__"):
        raise MoEngageParameterError(
            f"{decorator} is given a {type(function).__name__} that has no name, as a partial or an object that can be called; "
            "call it in a function of your own: def customers(): return it()"
        )
    if inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain):
        raise MoEngageParameterError(
            f"{decorator} is given the async function {plain.__name__}(), but rows are read in the task's own thread, without "
            "an event loop; write it with def, and call asyncio.run() inside where it awaits something"
        )


def code_of(function: Callable[..., Any]) -> object:
    """Return what a function does, as values that are the same in every process; None where Python does not tell."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return None if code is None else _instructions(code)


def _instructions(code: CodeType) -> tuple[object, ...]:
    constants = [_instructions(one) if isinstance(one, CodeType) else one for one in code.co_consts]
    return code.co_code, code.co_names, constants


def _compared(argument: object) -> object:
    """Return an argument as it is compared: of upstream outputs that are loaded on use, the type alone."""
    lazy = isinstance(argument, Sequence) and not isinstance(argument, (str, bytes, bytearray, list, tuple))
    return type(argument) if lazy else argument
