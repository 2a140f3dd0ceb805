"""Convolution: one sum of products, stepped, on a picture of one's own."""

import streamlit as st

from playground.ui import convolution, convolution_passes

convolution.formula()
stage, side = st.columns([2.7, 1], gap="medium")
with side:
    setting = convolution.controls()
with stage:
    convolution.predict(setting)
    convolution_passes.passes(setting)
    convolution.sizes(setting)
convolution.whole_picture(setting)
convolution.in_code(setting)
