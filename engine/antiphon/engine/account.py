"""Accounts: the tree of meters under a budget, and the gates where an account has a limit.

Every account counts what was spent and what is reserved on it and on everything below it. An account
that also has limits carries a `Gate`; only gates can say no. The inequality that the whole budget rests
on holds at every gate, in every limited dimension, between any two calls into the core:

    spent + reserved <= limit + overdraft
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

from antiphon.engine.amount import DIMENSIONS, INDEX, Amount, Dimension, Pairs, in_words
from antiphon.engine.limits import Limits

# A whole number above everything an amount can hold: one comparison serves limited and unlimited dimensions.
_UNLIMITED: Final = 1 << 200


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something was not granted: which account said no, and in which dimension.

    Attributes:
        path: The account that said no.
        dimension: What there is too little of.
        wanted: How much was asked for, as a raw count (nano-usd, nanoseconds, tokens, calls).
        limit: The account's limit in this dimension, as a raw count.
        free: How much this account could give at most if everything outstanding came back, as a raw count; for a
            wind-down, what is free now.
        is_root: Whether the run's own limit said no, and not a nested one.
        overdrawn: Whether the account gives nothing at all any more, because something was billed above its worst case.
        wind_down: Whether waiting was possible but only other waiters were in the way, so that the subagent is to
            finish with what it was guaranteed.
    """

    path: str
    dimension: Dimension
    wanted: int
    limit: int
    free: int
    is_root: bool
    overdrawn: bool = False
    wind_down: bool = False

    def __str__(self) -> str:
        where = "the run" if self.is_root else self.path
        asked = f"{where} was asked for {in_words(self.dimension, self.wanted)}"
        if self.wind_down:
            return f"{asked}, which only other waiting subagents could free"
        if self.overdrawn:
            return f"{asked}, but is overdrawn"
        return f"{asked} and could give {in_words(self.dimension, self.free)}"


@dataclass(frozen=True, slots=True)
class Overdraft:
    """What was billed beyond an account's limit, when it was settled.

    Attributes:
        path: The account.
        dimension: What was overdrawn.
        count: By how much, as a raw count (nano-usd, nanoseconds, tokens, calls).
        is_root: Whether this is the run's own account.
    """

    path: str
    dimension: Dimension
    count: int
    is_root: bool


@final
class Gate:
    """The limited part of an account.

    Attributes:
        spent: The account's own vector of what was spent.
        reserved: The account's own vector of what is reserved.
        ceiling: The limit of each dimension.
        overdraft: What was recorded beyond the limit; while there is any, nothing new passes.
        kept: The part of `reserved` that phases keep for their synthesis, and that waiting does not free.
        idle: The part of `reserved` that belongs to carves which wait themselves.
    """

    __slots__ = ("ceiling", "idle", "is_root", "kept", "overdraft", "overdrawn", "path", "reserved", "spent")

    def __init__(self, account: "Account", ceilings: list[int | None]) -> None:
        self.path = account.path
        self.is_root = account.parent is None
        self.spent = account.spent_counts
        self.reserved = account.reserved_counts
        self.ceiling = [_UNLIMITED if limit is None else limit for limit in ceilings]
        self.overdraft = [0] * len(DIMENSIONS)
        self.overdrawn = False
        self.kept = [0] * len(DIMENSIONS)
        self.idle = [0] * len(DIMENSIONS)

    def room(self, index: int) -> int:
        """What could be reserved now; below zero when overdrawn."""
        return self.ceiling[index] - self.spent[index] - self.reserved[index]

    def prospect(self, index: int) -> int:
        """What could be reserved if everything outstanding came back unspent."""
        return self.ceiling[index] - self.spent[index] - self.kept[index]

    def stirring(self, index: int) -> bool:
        """Whether anything reserved here belongs to somebody who does not wait."""
        return self.reserved[index] > self.idle[index] + self.kept[index]

    def record_overdraft(self) -> list[Overdraft]:
        """Note what is now beyond the limit, and let nothing new pass."""
        found: list[Overdraft] = []
        for index, dimension in enumerate(DIMENSIONS):
            over = -self.room(index) - self.overdraft[index]
            if over > 0:
                self.overdraft[index] += over
                self.overdrawn = True
                found.append(Overdraft(self.path, dimension, over, self.is_root))
        return found

    def raise_ceiling(self, pairs: Pairs) -> Pairs:
        """Add to the limited dimensions, and close the overdraft that this pays for.

        Returns:
            What took effect: dimensions without a limit have nothing to raise.
        """
        taken = tuple((index, count) for index, count in pairs if self.ceiling[index] != _UNLIMITED)
        for index, count in taken:
            self.ceiling[index] += count
            self.overdraft[index] = min(self.overdraft[index], max(0, -self.room(index)))
        self.overdrawn = any(self.overdraft)
        return taken

    def limit(self, index: int) -> int | None:
        """The limit of one dimension, or `None`."""
        return None if self.ceiling[index] == _UNLIMITED else self.ceiling[index]


@final
class Account:
    """A meter in the tree: what a branch and all below it spent and hold reserved.

    Accounts are opened by `Budget.open` and only read by everybody else.

    Attributes:
        path: The branch it meters.
        parent: The account above; `None` for the run's own.
        chain: This account and all above it, this one first.
        gates: The limited ones among them, the nearest first.
    """

    __slots__ = (
        "_meters",
        "chain",
        "closed",
        "gate",
        "gates",
        "open_below",
        "parent",
        "path",
        "reserved_counts",
        "spent_counts",
    )

    def __init__(self, path: str, parent: "Account | None", limits: Limits | None) -> None:
        self.path = path
        self.parent = parent
        self.closed = False
        self.open_below = 0
        self.spent_counts = [0] * len(DIMENSIONS)
        self.reserved_counts = [0] * len(DIMENSIONS)
        ceilings = limits.ceilings() if limits is not None else []
        self.gate = Gate(self, ceilings) if any(limit is not None for limit in ceilings) else None
        above = parent.gates if parent is not None else ()
        self.gates: tuple[Gate, ...] = above if self.gate is None else (self.gate, *above)
        self.chain: tuple[Account, ...] = (self, *parent.chain) if parent is not None else (self,)
        self._meters = tuple((account.spent_counts, account.reserved_counts) for account in self.chain)

    @property
    def is_root(self) -> bool:
        """Whether this is the run's own account."""
        return self.parent is None

    @property
    def spent(self) -> Amount:
        """What was spent here and below."""
        return Amount.of_counts(self.spent_counts)

    @property
    def reserved(self) -> Amount:
        """What is reserved here and below: guarantees, attempts in flight, and what phases keep."""
        return Amount.of_counts(self.reserved_counts)

    @property
    def overdraft(self) -> Amount:
        """What was billed here beyond the limit; while there is any, nothing new is granted."""
        return Amount.of_counts(self.gate.overdraft) if self.gate is not None else Amount()

    @property
    def overdrawn(self) -> bool:
        """Whether something was billed beyond this account's own limit, so that it gives nothing any more."""
        return self.gate is not None and self.gate.overdrawn

    def limit_of(self, dimension: str) -> int | None:
        """This account's own limit as a raw count; `None` if it has none in this dimension."""
        return self.gate.limit(INDEX[dimension]) if self.gate is not None and dimension in INDEX else None

    def limits_dimension(self, dimension: str) -> bool:
        """Whether this account or one above it limits the dimension."""
        return dimension in INDEX and any(gate.limit(INDEX[dimension]) is not None for gate in self.gates)

    def remaining(self, dimension: Dimension) -> int | None:
        """What can still be reserved from here, all limits above considered, as a raw count.

        Returns:
            At least 0; `None` if neither this account nor one above limits the dimension.
        """
        index = INDEX[dimension]
        rooms = [gate.room(index) for gate in self.gates if gate.limit(index) is not None]
        return max(0, min(rooms)) if rooms else None

    def fits(self, pairs: Pairs) -> bool:
        """Whether this can be reserved here and on every account above, now."""
        for gate in self.gates:
            if gate.overdrawn:
                return False
            spent, reserved, ceiling = gate.spent, gate.reserved, gate.ceiling
            for index, count in pairs:
                if spent[index] + reserved[index] + count > ceiling[index]:
                    return False
        return True

    def short_of(self, pairs: Pairs) -> frozenset[int]:
        """The dimensions in which some account of the chain cannot reserve its share now."""
        return frozenset(i for i, count in pairs if any(gate.overdrawn or gate.room(i) < count for gate in self.gates))

    def limited(self, dimensions: frozenset[int]) -> frozenset[int]:
        """Those of the dimensions that this account or one above it limits."""
        return frozenset(index for index in dimensions if any(gate.limit(index) is not None for gate in self.gates))

    def gate_of(self, index: int) -> Gate:
        """The nearest gate that limits a dimension which is limited."""
        return next(gate for gate in self.gates if gate.limit(index) is not None)

    def reserve(self, pairs: Pairs, *, below: "Account | None" = None) -> None:
        """Count as reserved on the chain, up to but not on `below`'s own chain if given."""
        for _, reserved in self._up_to(below):
            for index, count in pairs:
                reserved[index] += count

    def free(self, pairs: Pairs, *, below: "Account | None" = None) -> None:
        """Undo `reserve`."""
        for _, reserved in self._up_to(below):
            for index, count in pairs:
                reserved[index] -= count

    def settle(self, freed: Pairs, paid: Pairs) -> tuple[Overdraft, ...]:
        """Turn a reservation into spending on the whole chain.

        Returns:
            What went beyond the limit of an account, if anything did.
        """
        for spent, reserved in self._meters:
            for index, count in freed:
                reserved[index] -= count
            for index, count in paid:
                spent[index] += count
        return self._overdrafts(self.gates, paid)

    def claim(self, amount: Amount) -> tuple[Overdraft, ...]:
        """Count what an earlier attempt of the run spent here, on all accounts up to the root but not on it.

        The root has it already: `Budget.restore` set what the whole run spent.

        Returns:
            What went beyond the limit of an account, if anything did.
        """
        for spent, _ in self._meters[:-1]:
            for index, count in amount.pairs:
                spent[index] += count
        return self._overdrafts(tuple(gate for gate in self.gates if not gate.is_root), amount.pairs)

    def refund(self, paid: Pairs) -> None:
        """Undo spending that turned out never to have begun."""
        for spent, _ in self._meters:
            for index, count in paid:
                spent[index] -= count

    def _up_to(self, below: "Account | None") -> Iterable[tuple[list[int], list[int]]]:
        return self._meters if below is None else self._meters[: len(self.chain) - len(below.chain)]

    @staticmethod
    def _overdrafts(gates: tuple[Gate, ...], paid: Pairs) -> tuple[Overdraft, ...]:
        found: list[Overdraft] = []
        for gate in gates:
            spent, reserved, ceiling = gate.spent, gate.reserved, gate.ceiling
            for index, _ in paid:
                if spent[index] + reserved[index] > ceiling[index]:
                    found += gate.record_overdraft()
                    break
        return tuple(found)
