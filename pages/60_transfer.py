"""Transfer learning: collect photos, retrain the last layer of a pretrained network, try it."""

import streamlit as st

from playground.ui.studio import insight, runs_view, transfer

run = runs_view.followed("transfer")
if run is not None:
    runs_view.watch(run, "validation", transfer.result)
    transfer.outcome(run)
    insight.understand(run)

st.header("1 · Collect", anchor=False)
photos = transfer.collect()

st.header("2 · Train", anchor=False)
transfer.settings(photos)
runs_view.chosen("transfer")

st.header("3 · Try", anchor=False)
transfer.trial(run)
