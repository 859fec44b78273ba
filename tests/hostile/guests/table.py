"""All techniques, by name."""

from tests.hostile.guests.bombs import BOMBS
from tests.hostile.guests.classes import CLASSES
from tests.hostile.guests.deserialisers import DESERIALISERS
from tests.hostile.guests.errors import ERRORS
from tests.hostile.guests.floods import FLOODS
from tests.hostile.guests.forgery import FORGERY
from tests.hostile.guests.formats import FORMATS
from tests.hostile.guests.frames import FRAMES
from tests.hostile.guests.hooks import HOOKS
from tests.hostile.guests.imports import IMPORTS
from tests.hostile.guests.kernel import KERNEL
from tests.hostile.guests.kernel_calls import KERNEL_CALLS
from tests.hostile.guests.protocol import PROTOCOL
from tests.hostile.guests.published import PUBLISHED
from tests.hostile.guests.system import SYSTEM
from tests.hostile.guests.walks import WALKS

TECHNIQUES = {
    technique.name: technique
    for family in (
        *(PUBLISHED, WALKS, FRAMES, FORMATS, IMPORTS, CLASSES, DESERIALISERS, SYSTEM, KERNEL, KERNEL_CALLS),
        *(BOMBS, FLOODS, PROTOCOL, FORGERY, ERRORS, HOOKS),
    )
    for technique in family
}
