//! A stand-in for TensorRT.
