"""`antiphon plan`: a model writes the orchestration for one task; and `antiphon replan`, a further version of it.

`launch` binds the workflow in `workflow` to what was asked; `survey` and `material` say what there is; `shapes` is what
the models are asked for and `words` and `guide.md` what they are told; `examine` holds a script to preflight and to its
own tests (`cases`); `plans` is a plan on disk. `finished` reads back a run that is to be planned again, `forking` makes
the run that goes on with the new version.
"""
