"""The lines by which a program asks a model of this server over HTTP, with the address that the reader sees."""

from urllib.parse import quote, urlsplit

import streamlit as st

from playground import home
from playground.deploy.registry import Entry
from playground.ui import frame

CURL = """\
curl --data-binary "@photo.jpg" -H "Content-Type: application/octet-stream"{curl_key} "{address}/predict?top=3"
"""
PYTHON = """\
import json
from urllib.request import Request, urlopen

with open("photo.jpg", "rb") as photo:
    request = Request("{address}/predict?top=3", photo.read(), {{"Content-Type": "application/octet-stream"{key}}})
with urlopen(request) as answer:
    for said in json.load(answer)["predictions"]:
        print(said["label"], said["probability"])
"""
JAVASCRIPT = """\
import {{ readFile }} from "node:fs/promises";

const answer = await fetch("{address}/predict?top=3", {{
  method: "POST",
  headers: {{ "Content-Type": "application/octet-stream"{key} }},
  body: await readFile("photo.jpg"),
}});
for (const said of (await answer.json()).predictions) console.log(said.label, said.probability);
"""
LINES = {"curl": (CURL, "bash"), "Python": (PYTHON, "python"), "JavaScript": (JAVASCRIPT, "javascript")}
NOTES = {
    "curl": "On Windows too, in a terminal or, as `curl.exe`, in PowerShell.",
    "Python": "Needs nothing but Python.",
    "JavaScript": "For Node, saved as `ask.mjs`. Of web pages, only this server's own may ask: another site may not do "
                  "it with its reader's browser.",
}


@frame.guarded("Ask it over HTTP")
def ask(entry: Entry) -> None:
    """Ready lines for the chosen model: curl, Python, JavaScript."""
    server = origin(st.context.url)
    address = address_of(entry, server)
    with st.expander("Ask it over HTTP", icon=":material/terminal:"):
        st.markdown("Send the bytes of a picture; labels and probabilities come back, **the same as under “Try it”**. "
                    "The picture is kept nowhere.")
        if home.is_class() and not entry.shipped:
            st.caption("Your models are yours alone: put the key of your workspace (on the page Class) where the lines "
                       "say YOUR-KEY, and give it to nobody.")
        for tab, (name, (lines, language)) in zip(st.tabs(list(LINES)), LINES.items(), strict=True):
            with tab:
                st.code(with_key(lines, address, home.is_class() and not entry.shipped), language=language,
                        wrap_lines=True)
                st.caption(NOTES[name])
        st.markdown(f"What else there is: [all models]({server}/api/models), [this one]({address}), "
                    f"[its file]({address}/model.onnx), [all of it as OpenAPI]({server}/api/openapi.json).")


def with_key(lines: str, address: str, is_own: bool) -> str:
    """The lines for a model's address; of a workspace of a class they have to show its key.

    >>> "Bearer" in with_key(CURL, "http://x", True), "Bearer" in with_key(CURL, "http://x", False)
    (True, False)
    """
    bearer = "Bearer YOUR-KEY"
    return lines.format(address=address, curl_key=f' -H "Authorization: {bearer}"' if is_own else "",
                        key=f', "Authorization": "{bearer}"' if is_own else "")


def address_of(entry: Entry, server: str) -> str:
    return f"{server}/api/models/{quote(entry.name, safe='')}"


def origin(page: str | None) -> str:
    """What stands before /api in the addresses of this server, as the reader sees it: `page` is where he is."""
    base = f"/{str(st.get_option('server.baseUrlPath') or '').strip('/')}".rstrip("/")
    seen = urlsplit(page or f"http://localhost:{st.get_option('server.port')}")
    return f"{seen.scheme}://{seen.netloc}{base}"
