"""Starts the AWS emulator, and mends two things that MiniStack 1.5.33 does to nested stacks.

CloudFormation applies a template's transforms wherever the template is deployed. MiniStack applies them to the template of
a stack, and leaves SAM's resources in that of a nested stack. When a nested stack is updated, MiniStack also forgets the
attributes of each resource that does not change, so that `!GetAtt` of one fails.
"""

from ministack.app import main
from ministack.services.cloudformation import _stacks, changesets, engine, handlers, provisioners

parse, update = engine._parse_template, provisioners._update_resource

# These read the parser's name once, when they are loaded: what is set below reaches nested stacks alone.
assert changesets._parse_template is parse and handlers._parse_template is parse


def parse_nested(text):
    template = engine._apply_transforms(parse(text))
    if isinstance(template, engine._TransformFailed):
        raise ValueError(template.error)
    return template


def update_nested(kind, physical_id, old, new, stack, logical_id=None):
    before = _stacks[stack]["_resources"].get(logical_id, {}).get("Attributes", {})
    after, attributes = update(kind, physical_id, old, new, stack, logical_id, before)
    return after, {**before, **attributes}


engine._parse_template = parse_nested
provisioners._update_resource = update_nested

main()
