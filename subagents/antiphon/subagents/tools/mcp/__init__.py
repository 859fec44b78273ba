"""MCP servers as sources of tools, through the official SDK: over stdio in the project's sandbox, and over HTTP.

What a server says (names, descriptions, schemas, results) is data from a stranger: checked, capped, and never a reason
to allow more. docs/mcp.md tells a user how to name servers; nothing here imports the SDK before a server is started.
"""

from antiphon.subagents.tools.mcp.asked import McpAsked, check_named, expanded, facts_of
from antiphon.subagents.tools.mcp.configuration import McpServer, ServerUnsuitable, read_servers
from antiphon.subagents.tools.mcp.declaring import McpTool
from antiphon.subagents.tools.mcp.naming import is_mcp_name, server_of
from antiphon.subagents.tools.mcp.serving import mcp_tools
from antiphon.subagents.tools.mcp.trouble import McpUnavailable

__all__ = [
    "McpAsked",
    "McpServer",
    "McpTool",
    "McpUnavailable",
    "ServerUnsuitable",
    "check_named",
    "expanded",
    "facts_of",
    "is_mcp_name",
    "mcp_tools",
    "read_servers",
    "server_of",
]
