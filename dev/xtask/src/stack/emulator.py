"""Starts the AWS emulator with patches for two bugs of MiniStack 1.5.33 in nested stacks.

- MiniStack applies transforms only to the template of the root stack, so SAM resources in a nested
  stack are not transformed. CloudFormation applies them to nested stacks too.
- When a nested stack is updated, MiniStack drops the attributes of resources that do not change, so
  `!GetAtt` of such a resource fails.
"""

from ministack.app import main
from ministack.services.cloudformation import _stacks, changesets, engine, handlers, provisioners

parse, update = engine._parse_template, provisioners._update_resource

# These modules have imported the parser by name, so the patch below affects nested stacks only.
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
