"""Validates the given files against the schema of CycloneDX 1.5, and requires components in each."""

import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

validator = JsonStrictValidator(SchemaVersion.V1_5)
for name in sys.argv[1:]:
    text = Path(name).read_text()
    if error := validator.validate_str(text):
        sys.exit(f"{name}: {error.data.message} at {error.data.json_path}")
    components = json.loads(text)["components"]
    if not components:
        sys.exit(f"{name}: lists nothing")
    print(f"{name}: {len(components)} components")
