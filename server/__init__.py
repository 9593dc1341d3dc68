"""The doors to the tools: the MCP server and the command line. The only room that imports `mcp`."""
