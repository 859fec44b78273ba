"""Files of a workspace, by names that a model gives: nothing outside of it, nothing through a link, no half changes.

Everything here blocks, so it is called in a worker thread. `Files` opens a path step by step, each folder by the
descriptor of the one before, so that what is exchanged between a check and its use leads nowhere.
"""

from antiphon.subagents.workspace.files.changing import Put, Remove
from antiphon.subagents.workspace.files.content import Content, Entry
from antiphon.subagents.workspace.files.files import MOST_BYTES, Files
from antiphon.subagents.workspace.files.names import PathRefused, parts_of
from antiphon.subagents.workspace.files.text import NotText, Text
from antiphon.subagents.workspace.files.viewing import View, left_out, present_view, viewing
from antiphon.subagents.workspace.files.walking import Found, Walk

__all__ = [
    "MOST_BYTES",
    "Content",
    "Entry",
    "Files",
    "Found",
    "NotText",
    "PathRefused",
    "Put",
    "Remove",
    "Text",
    "View",
    "Walk",
    "left_out",
    "parts_of",
    "present_view",
    "viewing",
]
