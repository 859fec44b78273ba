"""Fan-outs in fan-outs in branches: three levels, with what only the innermost knows."""

from antiphon.workflows.script import agent, branch, parallel, phase

manifest = {"name": "nested-fan", "phases": ["packages", "end"], "roles": ["worker", "broken"]}

TREE = {"app": {"web": ["get", "bad"], "db": ["read"]}, "lib": {"io": []}}


async def function(package, module, name):
    text = await agent(f"{package}.{module}.{name}", role="broken" if name == "bad" else "worker")
    return text.upper()


async def module(package, name, functions):
    inner = await parallel([function(package, name, one) for one in functions], concurrency=2)
    return {"module": name, "good": inner.succeeded(), "bad": [outcome.reason for outcome in inner.failed()]}


async def package(name, modules):
    outcome = await branch(f"package-{name}", parallel([module(name, one, of) for one, of in modules.items()]))
    return {"package": name, "kind": outcome.kind, "modules": [one.value for one in outcome.value]}


async def main(tree: dict[str, dict[str, list[str]]] = TREE):
    phase("packages")
    whole = await parallel([package(name, modules) for name, modules in tree.items()], context=[{"tree": list(tree)}])
    phase("end")
    return {"whole": [outcome.value for outcome in whole], "census": whole.census.to_json()}
