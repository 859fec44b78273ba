"""What a budget hands out: carves for subagents, holds for their attempts, and what phases keep.

A carve is a subagent's admission: a floor, reserved before it starts, that is enough to finish and hand
back. A hold is one attempt's worst case. **The floor is the last money, not the first**: a hold is paid from
what is free for everybody, and from the floor only where nothing else is, so that a subagent which is told
to wind down still has what winding down takes.
"""

from typing import TYPE_CHECKING, final

from antiphon.engine.account import Account, Refusal
from antiphon.engine.amount import DIMENSIONS, NOTHING, Amount, Pairs, add_to, in_words
from antiphon.tracing.errors import AntiphonError

if TYPE_CHECKING:
    from antiphon.engine.budget import Budget
    from antiphon.engine.line import Waiter


class BudgetMisuse(RuntimeError):
    """The budget was used wrongly by its caller: something closed or settled was used again."""


class BudgetRefused(AntiphonError):
    """What was asked for can never fit; nothing was spent on it.

    Attributes:
        refusal: Which account said no, and in which dimension.
    """

    exit_code = 4

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(f"The budget does not allow it: {refusal}.", advice=_advice(refusal))


class WindDown(AntiphonError):
    """The subagent is to finish within what it was guaranteed, and to hand back what it has.

    Attributes:
        refusal: Which account had too little, and in which dimension.
    """

    exit_code = 4

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(f"The subagent has to wind down: {refusal}.", advice=_advice(refusal))


def _advice(refusal: Refusal) -> str:
    missing = in_words(refusal.dimension, max(1, refusal.wanted - refusal.free)).replace(" ", "")
    if refusal.is_root:
        return f"antiphon resume RUN --budget +{missing}"
    return (
        f"raise the limit {refusal.dimension} of {refusal.path} by at least {missing.removesuffix(refusal.dimension)}"
    )


@final
class Keep:
    """What a phase keeps for its synthesis: reserved on a branch, and paid out only to admissions that name it.

    Attributes:
        account: Where it is reserved.
        guarantee: What is left of it, one raw count per dimension.
    """

    __slots__ = ("account", "closed", "guarantee")

    def __init__(self, account: Account) -> None:
        self.account = account
        self.guarantee = [0] * len(DIMENSIONS)
        self.closed = False

    @property
    def remaining(self) -> Amount:
        """What is still kept."""
        return Amount.of_counts(self.guarantee)

    def give(self, pairs: Pairs, sign: int = 1) -> None:
        """Keep more of what is reserved here; with a sign of -1, less."""
        add_to(self.guarantee, pairs, sign)
        for gate in self.account.gates:
            add_to(gate.kept, pairs, sign)


@final
class Hold:
    """One attempt's worst case, reserved until `Budget.settle`, `release` or `estimate` ends it: exactly one of them.

    Attributes:
        carve: Whose attempt it is.
        worst: What is reserved.
        given: The part of it that came out of the carve's floor.
        aside: Whether it ends only when its owner goes on, like a slice of time, so that nobody need wait for it.
    """

    __slots__ = ("aside", "carve", "given", "open", "worst")

    def __init__(self, carve: "Carve", worst: Amount, given: Pairs, aside: bool) -> None:
        self.carve = carve
        self.worst = worst
        self.given = given
        self.aside = aside
        self.open = True


@final
class Carve:
    """A subagent's admission, and the source of its holds.

    Attributes:
        account: Where it was admitted.
        floor: What was guaranteed at admission, its own agent call included.
        number: The place in the order of admission.
        guarantee: What is left of the floor, one raw count per dimension.
        winding_down: Whether it was told to finish within its guarantee; holds beyond it are answered so at once.
        on_floor: Whether the latest hold had to be paid out of the floor because the rest of the budget could not.
        estimated: Whether anything was charged without knowing what it cost.
        in_flight: How many of its holds will end without its owner waiting for the budget first.
        aside: Its holds that will not.
        waiters: Its requests that wait.
        lends: How many subagents it waits for that it asked itself, lending its floor meanwhile.
        stake: What it keeps others from while it waits with nothing in flight.
    """

    __slots__ = (
        "account",
        "aside",
        "budget",
        "closed",
        "estimated",
        "floor",
        "guarantee",
        "in_flight",
        "lender",
        "lends",
        "lent",
        "number",
        "on_floor",
        "spent_counts",
        "stake",
        "waiters",
        "winding_down",
    )

    def __init__(self, budget: "Budget", account: Account, floor: Amount, number: int) -> None:
        self.budget = budget
        self.account = account
        self.floor = floor
        self.number = number
        self.guarantee = floor.counts()
        self.spent_counts = [0] * len(DIMENSIONS)
        self.lender: Keep | None = None
        self.lent = NOTHING
        self.winding_down = False
        self.on_floor = False
        self.estimated = False
        self.closed = False
        self.lends = 0
        self.in_flight = 0
        self.aside: list[Hold] = []
        self.waiters: list[Waiter] = []
        self.stake: Pairs = ()

    @property
    def remaining(self) -> Amount:
        """What is left of the floor."""
        return Amount.of_counts(self.guarantee)

    @property
    def spent(self) -> Amount:
        """What this subagent spent, its agent call included."""
        return Amount.of_counts(self.spent_counts)

    def begin(self, paid: Pairs) -> None:
        """Spend what the admission itself costs, out of the floor."""
        self.account.settle(paid, paid)
        add_to(self.guarantee, paid, -1)
        add_to(self.spent_counts, paid)

    def never_began(self, paid: Pairs) -> None:
        """Undo `begin`, for an admission that nobody took."""
        self.account.refund(paid)
        self.account.reserve(paid)
        add_to(self.guarantee, paid)
        add_to(self.spent_counts, paid, -1)

    @property
    def beside(self) -> Amount:
        """What it holds aside: reserved, and not coming back before its owner goes on."""
        return Amount.total(hold.worst for hold in self.aside) if self.aside else NOTHING

    def set_aside(self, hold: Hold, sign: int = 1) -> None:
        """Hold something aside; with a sign of -1, no longer."""
        if sign > 0:
            self.aside.append(hold)
        else:
            self.aside.remove(hold)
        if self.lends:
            self._keep(hold.worst.pairs, sign)

    def lend(self, sign: int = 1) -> None:
        """From now on it waits for one that it asked itself; with a sign of -1, no longer.

        What it holds aside does not come back meanwhile, so nobody may wait for that.
        """
        before, self.lends = self.lends, self.lends + sign
        if not before or not self.lends:
            self._keep(self.beside.pairs, sign)

    def _keep(self, pairs: Pairs, sign: int) -> None:
        for gate in self.account.gates:
            add_to(gate.kept, pairs, sign)

    @property
    def idle(self) -> bool:
        """Whether it waits for the budget, and nothing of it moves until it is answered."""
        return not self.in_flight and any(not waiter.aside for waiter in self.waiters)

    async def reserve(self, amount: Amount, *, aside: bool = False) -> Hold:
        """Reserve an attempt's worst case, waiting if outstanding reservations could still free it.

        Returns at once, without a checkpoint, when it fits. No permit may be held while waiting here.

        Args:
            amount: The worst case.
            aside: Whether this runs beside the owner's own work, like the next slice of its `agent_seconds`: while it
                waits the owner counts as working, and while it is held it does not count as an attempt in flight
                (it ends only when the owner goes on, so nothing may rely on its end).

        Raises:
            BudgetRefused: It can never fit.
            WindDown: Only other waiters stand in its way, or this carve was told before.
            BudgetMisuse: The carve is closed.
        """
        answer = self.budget.ask(self, amount, aside=aside)
        return answer if isinstance(answer, Hold) else await self.budget.held(answer)
