"""Images as arrays: a gray matrix, a colour cube, and what is lost with fewer levels."""

import streamlit as st

from playground.ui import images

images.formula()
stage, side = st.columns([2.2, 1], gap="medium")
with side:
    setting = images.controls()
with stage:
    images.predict(setting)
    images.gray_matrix(setting)
images.colour_cube(setting)
images.memory(setting)
images.zoom(setting)
images.levels(setting)
