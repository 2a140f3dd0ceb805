"""Max pooling: of each window the largest number, forward and backward."""

import streamlit as st

from playground.ui import pooling

pooling.formula()
stage, side = st.columns([2.7, 1], gap="medium")
with side:
    setting = pooling.controls()
with stage:
    pooling.predict(setting)
    pooling.steps(setting)
pooling.shifts(setting)
pooling.order(setting)
pooling.in_code(setting)
