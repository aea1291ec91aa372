"""The ONNX file: export and load."""
