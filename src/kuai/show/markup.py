"""Text that may stand in XML and HTML."""

from __future__ import annotations

import html
import re

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(text: str) -> str:
    """Escape markup; what no XML file may hold, such as a control character, becomes U+FFFD."""
    return html.escape(_NOT_XML.sub("\ufffd", text))


def element(name: str, content: str = "", /, **attributes: object) -> str:
    """An element with escaped attributes around content that is markup already.

    A trailing underscore is dropped from an attribute's name and others become hyphens, so that
    `class_` and `stroke_width` can be given.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
    )
    return f"<{name}{given}>{content}</{name}>"
