"""What hl7apy makes of messages, for a test that compares it with what Silta makes of them.

judge.py DIR parses each file of DIR, in the order of their names. They are UTF-8 with CR at the ends of segments: hl7apy
knows no character sets and no other line ends. It prints what the judge in ../hapi prints: "= NAME", "! CLASS" if hl7apy
refused it, else a line for each segment and for each leaf that isn't empty. The texts are ER7: hl7apy leaves escapes as
they stand. A number that it has forgotten is a question mark.
"""

import json
import pathlib
import sys

from hl7apy import consts, parser
from hl7apy.base_datatypes import BaseDataType, TextualDataType
from hl7apy.core import is_base_datatype


def judge(text):
    # Tolerant, and without groups: what is compared is values, not what may stand where.
    message = parser.parse_message(
        text, validation_level=consts.VALIDATION_LEVEL.TOLERANT, find_groups=False
    )
    counts = {}
    for position, segment in enumerate(message.children, 1):
        counts[segment.name] = counts.get(segment.name, 0) + 1
        name = f"{segment.name}({counts[segment.name]})"
        yield name, str(position)
        yield from fields(name, segment)


def fields(name, segment):
    repetition, last = 0, None
    for field in segment.children:
        # A field that the version doesn't define has no name, and so no number.
        number = field.name.rpartition("_")[2] if field.name else "?"
        repetition = repetition + 1 if number == last else 1
        last = number
        for component_number, component in numbered(field):
            for sub_number, sub in numbered(component):
                text = leaf(sub)
                if text:
                    yield f"{name}-{number}({repetition}).{component_number}.{sub_number}", text


def numbered(element):
    """Gives children with their numbers.

    Those that a data type defines are named by it (XPN_2), and empty ones among them are left out. Where there is no
    data type with parts, all are kept, without names. One without a name among the former has lost its number.
    """
    composite = element.datatype and not is_base_datatype(element.datatype, element.version)
    for order, child in enumerate(element.children, 1):
        suffix = child.name.rpartition("_")[2] if child.name else ""
        if suffix.isdigit():
            yield suffix, child
        else:
            yield "?" if composite else order, child


def leaf(sub):
    value = sub.value
    if isinstance(value, TextualDataType):
        return value.value
    if isinstance(value, BaseDataType):
        return value.to_er7()
    return value


def main(folder):
    for file in sorted(pathlib.Path(folder).iterdir()):
        print("=", file.name)
        try:
            lines = list(judge(file.read_bytes().decode("utf-8")))
        except Exception as refusal:  # hl7apy's own exceptions, and the bugs that it answers odd messages with
            print("!", type(refusal).__name__)
            continue
        for path, text in lines:
            print(f"{path}\t{json.dumps(text, ensure_ascii=False)}")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    main(sys.argv[1])
