"""Reading a script without executing it: its text, its names, and what its expressions are."""
