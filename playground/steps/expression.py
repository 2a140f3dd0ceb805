"""A formula a person types, read as a formula and nothing else: a whitelist of the syntax tree, never run as code."""

import ast
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from playground.errors import PlaygroundError

LONGEST, MOST_NODES, MOST_VARIABLES, LARGEST = 200, 40, 8, 1e6
FUNCTIONS = ("relu", "sigmoid", "tanh", "exp", "log", "sqrt")
_OPERATORS: dict[type[ast.AST], str] = {ast.Add: "+", ast.Sub: "−", ast.Mult: "·", ast.Div: "/", ast.Pow: "^"}
T = TypeVar("T")


def parse(text: str) -> ast.expr:
    """The syntax tree of a formula of numbers, variables, + - * / **number and FUNCTIONS.

    Raises PlaygroundError naming the first part that is not allowed, or what is too long or too large.

    >>> variables(parse("relu(w*x + b)**2"))
    ('w', 'x', 'b')
    >>> parse("x.__class__")
    Traceback (most recent call last):
    playground.errors.PlaygroundError: “x.__class__” is not part of a formula here: use numbers, names, + - * / **, \
parentheses and relu, sigmoid, tanh, exp, log, sqrt.
    """
    if len(text) > LONGEST:
        raise PlaygroundError(f"The formula has {len(text)} characters: at most {LONGEST} are read.")
    if not text.strip():
        raise PlaygroundError("There is no formula: write one such as relu(w*x + b)**2.")
    try:
        tree = ast.parse(text.strip().replace("^", "**").replace("·", "*").replace("−", "-"), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise PlaygroundError("This is no complete formula: look for a missing operator or parenthesis.") from None
    _check(tree, text)
    count = sum(isinstance(node, ast.expr) for node in ast.walk(tree))
    if count > MOST_NODES:
        raise PlaygroundError(f"The formula has {count} parts: at most {MOST_NODES} can be drawn.")
    if not variables(tree):
        raise PlaygroundError("The formula has no variable, so there is nothing to take a derivative for.")
    if len(variables(tree)) > MOST_VARIABLES:
        raise PlaygroundError(f"The formula has {len(variables(tree))} variables: at most {MOST_VARIABLES} fit.")
    return tree


def _check(tree: ast.expr, text: str) -> None:
    match tree:
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            if _number(right) is None:
                raise PlaygroundError("An exponent has to be a number here, as in x**2.")
            _check(left, text)
            _check(right, text)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            _check(left, text)
            _check(right, text)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _check(operand, text)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
            _check(argument, text)
        case ast.Name(id=name) if name not in FUNCTIONS and re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,7}", name):
            pass
        case ast.Constant(value=int() | float() as value) if type(value) is not bool and abs(value) <= LARGEST:
            pass
        case _:
            part = (ast.get_source_segment(text.strip(), tree) or "this")[:40]
            raise PlaygroundError(
                f"“{part}” is not part of a formula here: use numbers, names, + - * / **, parentheses and "
                f"{', '.join(FUNCTIONS)}.")


def _number(tree: ast.expr) -> float | None:
    match tree:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -float(value)
    return None


def variables(tree: ast.expr) -> tuple[str, ...]:
    """The names in a parsed formula, in reading order, each once."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called]
    found.sort(key=lambda node: (node.lineno, node.col_offset))
    return tuple(dict.fromkeys(node.id for node in found))


def fold(tree: ast.expr, variable: Callable[[str], T], number: Callable[[float], T],
         operate: Callable[[str, list[T]], T]) -> T:
    """A parsed formula from its leaves up: operate("+", [a, b]), operate("relu", [a]), operate("neg", [a]).

    >>> fold(parse("2*x"), lambda name: name, str, lambda op, parts: f"({op.join(parts)})")
    '(2.0·x)'
    """
    def down(node: ast.expr) -> T:
        constant = _number(node)
        if constant is not None:
            return number(constant)
        match node:
            case ast.Name(id=name):
                return variable(name)
            case ast.UnaryOp(operand=operand):
                return operate("neg", [down(operand)])
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return operate(name, [down(argument)])
            case ast.BinOp(left=left, op=op, right=right):
                return operate(_OPERATORS[type(op)], [down(left), down(right)])
        raise ValueError("not a parsed formula")

    return down(tree)


def spelled(tree: ast.expr, functions: Mapping[str, str], names: Mapping[str, str], number: str = "{}") -> str:
    """The formula as a line of Python for a library, which calls the functions otherwise: {"relu": "torch.relu"}.

    `names` are the variables' names there; a number alone inside a function is written as the template `number` says,
    for a library whose functions take arrays only.

    >>> spelled(parse("relu(x)**2 + exp(2)"), {"relu": "torch.relu", "exp": "torch.exp"}, {"x": "x_"}, "array({})")
    'torch.relu(x_) ** 2 + torch.exp(array(2))'
    """
    class Renamed(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.AST:
            self.generic_visit(node)
            assert isinstance(node.func, ast.Name)
            args = node.args
            if not any(isinstance(part, ast.Name) for part in ast.walk(args[0])):
                args = [ast.Name(number.format(ast.unparse(args[0])))]
            return ast.Call(func=ast.Name(functions[node.func.id]), args=args, keywords=[])

        def visit_Name(self, node: ast.Name) -> ast.AST:
            return ast.Name(names.get(node.id, node.id))

    copied = ast.parse(ast.unparse(tree), mode="eval").body
    return ast.unparse(ast.fix_missing_locations(Renamed().visit(copied)))
