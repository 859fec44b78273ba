"""What rules presuppose, looked up in the syntax tree: one function for each canonical rule, by topic."""
