"""Class: who is here and what is done, for the teacher; for each reader, all that is kept about him."""

import streamlit as st

from playground.ui.classroom import page

if page.is_for_a_class():
    if page.is_the_teachers():
        page.lead()
        st.divider()
    page.own()
else:
    page.how_to_start()
