"""Tools of model agents: the contract, and tools that are Python functions (`function_tool`)."""

from antiphon.subagents.tools.contract import Misfit, Tool, ToolResult
from antiphon.subagents.tools.function import FunctionTool, function_tool

__all__ = ["FunctionTool", "Misfit", "Tool", "ToolResult", "function_tool"]
