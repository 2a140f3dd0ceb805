"""Transfer learning: collect photos, retrain the last layer of a pretrained network, try it."""

import streamlit as st

from playground.ui import insight, runs_view, transfer

st.header("1 · Collect", anchor=False)
photos = transfer.collect()

st.header("2 · Train", anchor=False)
transfer.settings(photos)
run = runs_view.chosen("transfer")
if run is not None:
    runs_view.watch(run, "validation")
    transfer.outcome(run)
    insight.understand(run)

st.header("3 · Try", anchor=False)
transfer.trial(run)
