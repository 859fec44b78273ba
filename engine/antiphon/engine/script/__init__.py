"""What a script holds: lazy calls; and the runtimes that run scripts: trusted files in process, all others confined."""
