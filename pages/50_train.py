"""Build and train: choose data, design a network, watch it learn in its own process, look at what came out."""

import streamlit as st

from playground.ui.network import at_work, building, run_look
from playground.ui.studio import runs_view, train

setup, beside = st.columns([2, 5], gap="large")
with setup:
    chosen = building.chosen_data()
    building.training(chosen)
    run = runs_view.chosen("digits")
with beside:
    if run is not None:
        runs_view.watch(run, "validation", train.result, run_look.ails)
        run_look.rate(run)
        at_work.of_training(run)
        run_look.examined(run)
        run_look.overlaid(run)
    if chosen is not None:
        building.design(chosen)
        building.look(chosen)
if run is not None:
    train.outcome(run)
