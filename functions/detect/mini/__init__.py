"""Builds the `mini` model pack from two published packages.

`centerface` turns the CenterFace detector into the shape of an SCRFD detector, and `mobilefacenet` turns a
TensorFlow Lite MobileFaceNet (read by `tflite`) into ONNX. Both go from bytes to bytes, the same on every machine:
the weights are copied, never recomputed.
"""
