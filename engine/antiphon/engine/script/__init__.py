"""What a script holds: lazy calls, and the runtimes that run scripts (today: trusted files, in process)."""
