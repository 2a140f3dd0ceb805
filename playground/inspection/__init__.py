"""Any ONNX file, looked at and run without trusting it: everything that opens it happens in a process of its own."""
