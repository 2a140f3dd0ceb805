"""Train a CNN: choose data and settings, watch it learn in its own process, look at what came out."""

import streamlit as st

from playground.ui.studio import runs_view, train

setup, beside = st.columns([2, 3], gap="large")
with setup:
    request = train.settings()
    run = runs_view.chosen("digits")
if run is None:
    with beside:
        train.architecture(request)
else:
    with beside:
        runs_view.watch(run, "validation", train.result)
    train.outcome(run)
    train.architecture(request)
