"""The jail: scripts as confined CPython processes, forked from a warm one. docs/runtimes.md tells what holds them.

`runtime.py` is the `Runtime`; `keeping.py` the warm process as the host sees it; `guest.py` and `fate.py` one script;
`inside/` what runs in there. The engine's side of a script, its frames, is `antiphon.engine.script.confined`.
"""

from antiphon.subagents.jail.keeping import end_zygotes
from antiphon.subagents.jail.modules import MODULES
from antiphon.subagents.jail.runtime import JailProbe, JailRuntime, JailUnusable, choose_jail, probe_jail

__all__ = ["MODULES", "JailProbe", "JailRuntime", "JailUnusable", "choose_jail", "end_zygotes", "probe_jail"]
