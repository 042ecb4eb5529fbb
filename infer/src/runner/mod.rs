//! From a picture to candidates: the part of the way that differs between CPU and GPU.
//!
//! | module | idea |
//! |---|---|
//! | `contract` | what a runner does |
//! | `cpu` | a backend on the CPU behind the preprocessor, one picture at a time |
//! | `coarse` | the second, smaller input of a picture on the CPU |
//! | `tensorrt` | TensorRT on a GPU |

mod coarse;
mod contract;
mod cpu;
mod tensorrt;

pub(crate) use contract::{Output, Picture, Runner};
pub(crate) use cpu::CpuRunner;
pub(crate) use tensorrt::TensorRtRunner;
