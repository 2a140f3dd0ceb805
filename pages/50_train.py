"""Train a CNN: choose data and settings, watch it learn in its own process, look at what came out."""

import streamlit as st

from playground.ui import runs_view, train

setup, network = st.columns([2, 3], gap="large")
with setup:
    request = train.settings()
with network:
    train.architecture(request)

run = runs_view.chosen("digits")
if run is not None:
    runs_view.watch(run, "validation")
    train.outcome(run)
