"""`antiphon build`: a task is cut into subtasks that own their files, built level by level, and put together.

`shapes` is what models are asked for; `owning`, `planning`, `levels` and `deciding` are the pure rules; `steps`,
`building` and `integrating` do the work; `workflow` is the script, `launch` binds it, `report` tells what came of it.
"""
