//! The program `molecule-mcp`.

fn main() {}
