//! What is known of a model before anything runs it. Nothing here depends on a backend or a runner.
//!
//! | module | idea |
//! |---|---|
//! | `embedded` | the models inside the executable |
//! | `file` | a model's file: its bytes, its id, what it says of itself |
//! | `layout` | what inputs and outputs a YOLOv5 detection model has |
//! | `facts` | what is known of a model once it is loaded |
//! | `names` | class names |
//! | `sizes` | the second, smaller input size |
//! | `error` | why a file is not a usable model |

mod embedded;
mod error;
mod facts;
mod file;
pub(crate) mod layout;
pub(crate) mod names;
pub(crate) mod sizes;

pub use embedded::BUILT_IN;
#[cfg(test)]
pub(crate) use embedded::EMBEDDED;
pub use error::ModelError;
pub(crate) use facts::Facts;
pub(crate) use file::ModelFile;
