"""The page on a whole CNN, its view: every number of the chosen network, forward and backward."""

import streamlit as st

from playground.ui import frame
from playground.ui.lessons import digits_model
from playground.ui.lessons import whole_cnn_network as whole
from playground.ui.lessons.whole_cnn import Setting
from playground.ui.network import view
from playground.view.looks import Look
from playground.view.sources import Design


@st.fragment
@frame.guarded("Every number of it")
def around(setting: Setting) -> None:
    """The same network on the same digit, down to one product."""
    st.header("Every number of it", anchor=False)
    preparation = digits_model.preparation()
    source = Design(whole.description(setting.network), whole.copy_of(setting.network), preparation,
                    tuple(map(str, range(digits_model.CLASSES))))
    view.view(Look(f"lesson {setting.network}", lambda _: (source, ""), setting.x[None],
                   preparation.pictured(setting.x), setting.label), key="whole-cnn-view")
    st.caption("Press a map, then a number in it, to see the products it is a sum of; backward, the products of its "
               "gradient.")
