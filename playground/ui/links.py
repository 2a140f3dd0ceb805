"""What a teacher can put into a page's address besides the controls: `hide=a,b` and `lock=1`."""

import re

import streamlit as st


def hidden_names(asked: str) -> list[str]:
    """The controls an address asks to hide; anything that is not a control's plain name is dropped.

    >>> hidden_names("stride, bias,<script>")
    ['stride', 'bias']
    """
    names = (part.strip() for part in asked.split(","))
    return [name for name in names if re.fullmatch(r"[a-z][a-z0-9_-]{0,40}", name)]


def hide_controls() -> None:
    """Hide what the address names. Hidden controls still exist, so their values in the address keep working."""
    if names := hidden_names(st.query_params.get("hide", "")):
        st.html(f"<style>{', '.join(f'.st-key-{name}' for name in names)} {{ display: none; }}</style>")


def locked() -> bool:
    """Whether the address fixes every control at what it says."""
    return st.query_params.get("lock") == "1"
