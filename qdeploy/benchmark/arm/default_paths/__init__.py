"""Whole default paths beside ours on AArch64: what a program executes that calls the model.

Each is called from C in one process under ``qemu-aarch64``, and a plugin of QEMU counts: our
library, ``OrtApi::Run`` of onnxruntime's wheel, the virtual machine of TVM's wheel. For whoever
wants to check; the benchmark needs none of it, and counts kernels alone.
"""
