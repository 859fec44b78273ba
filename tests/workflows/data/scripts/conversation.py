"""Rounds of proposal and critique, with the state of each kept in a small class and the answer built at the end."""

from antiphon.workflows.script import agent, approve, branch, fail, phase

manifest = {"name": "conversation", "phases": ["talk"], "roles": ["worker", "scorer"]}


class Talk:
    def __init__(self, topic):
        self.topic = topic
        self.turns = []

    def add(self, who, text):
        self.turns.append({"who": who, "text": text})
        return text

    def frames(self):
        return [{"topic": self.topic}, *self.turns[-2:]]


async def rounds(talk, most):
    for number in range(most):
        text = talk.add("author", await agent(f"Propose {number}", role="worker", context=talk.frames()))
        score = await agent(f"Score {text}", role="scorer", output=int, context=talk.frames())
        talk.add("critic", f"{score} of 10")
        if score >= 9:
            return text
    fail("nothing was good enough", partial={"turns": len(talk.turns)})


async def main(topic: str = "names", most: int = 3):
    phase("talk")
    talk = Talk(topic)
    agreed = await approve("May they talk?", {"topic": topic})
    outcome = await branch("rounds", rounds(talk, most))
    return {"agreed": agreed, "kind": outcome.kind, "value": outcome.value, "turns": talk.turns}
