#!/bin/sh
# onnxruntime-web for the tests that run a model in a browser or in Node: $1 is the Python that fetches it, once.
said=$("$1" -m playground browser 2>&1) && exit 0
echo "onnxruntime-web is not here, so the tests that need it will be skipped: $(echo "$said" | tail -n 1)"
