"""Tools of model agents: the contract, tools that are Python functions (`function_tool`), what they may do (`Policy`).

- `files/`, `code/`, `commands/`, `git/` are those that every run has; `mcp/` brings those of other programs.
- `policy` says what happens at once, what asks, and what never; `requiring` what must go before; `choosing` which of
  many a model is shown.
"""

from antiphon.subagents.tools.contract import Misfit, Tool, ToolResult, Traits
from antiphon.subagents.tools.function import FunctionTool, function_tool
from antiphon.subagents.tools.policy import Policy

__all__ = ["FunctionTool", "Misfit", "Policy", "Tool", "ToolResult", "Traits", "function_tool"]
