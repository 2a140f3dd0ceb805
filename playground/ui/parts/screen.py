"""What was asked for comes onto the screen: a part of the page, named by its container's key, is scrolled into view."""

import streamlit as st

_WANTED, _NUMBER = "screen-wanted", "screen-number"

_scroll = st.components.v2.component(
    "scroll_into_view",
    html="<span hidden></span>",
    js="""export default function ({ data }) {
  if (window.playgroundBrought >= data.number) return; // once, however often the page is drawn
  window.playgroundBrought = data.number;
  let tries = 20;
  const bring = () => { // what was asked for may still be on its way
    const part = document.querySelector(`.st-key-${CSS.escape(data.key)}`);
    const box = part && part.getBoundingClientRect();
    if (!box || box.height === 0) return tries-- > 0 ? setTimeout(bring, 100) : undefined;
    if (box.top < 60 || box.bottom > window.innerHeight) {
      part.style.scrollMarginTop = "4.5rem"; // below the menu
      part.scrollIntoView({ block: "start" });
    }
  };
  bring();
  setTimeout(bring, 700); // figures grow when they are drawn
}
""",
)


def wanted(key: str) -> None:
    """The reader asked for what stands in the container of this key: `bring` takes it there when it is drawn next."""
    st.session_state[_WANTED] = key
    st.session_state[_NUMBER] = st.session_state.get(_NUMBER, 0) + 1


def bring(key: str) -> None:
    """After the container of this key was drawn: scroll it into view if the reader asked for it."""
    if st.session_state.get(_WANTED) == key:
        _scroll(key=f"scroll-{key}", data={"key": key, "number": st.session_state[_NUMBER]})
