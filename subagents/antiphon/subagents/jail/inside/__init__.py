"""What runs inside the jail: the zygote, and what it gives to the guests that it forks.

`zygote.py` is a program of its own; `channel.py` and `world.py` reach it as text. Standard library only, and no more of
it than a guest needs. The host imports none of it.
"""
