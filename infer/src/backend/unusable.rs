//! Why a backend does not run a model.

use crate::engine::Job;
use crate::error::InferError;
use crate::model::ModelError;
use std::fmt;

/// Why a backend does not run a model.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It would, but its engine is not built yet.
    NotBuilt(Box<Job>),
    /// This version or machine does not have the backend; says why, with the remedy.
    Missing(String),
    /// The backend is there, and the model fails in it.
    Model(InferError),
}

impl Unusable {
    /// From an error whose message says what to do.
    pub(crate) fn missing(error: impl fmt::Display) -> Self {
        Self::Missing(error.to_string())
    }
}

impl From<ModelError> for Unusable {
    fn from(error: ModelError) -> Self {
        Self::Model(error.into())
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuilt(job) => match &job.refused {
                Some(why) => write!(f, "its engine is refused, to be built anew: {why}"),
                None => f.write_str("its engine is not built yet, 'hanja engine build' does it"),
            },
            Self::Missing(reason) => f.write_str(reason),
            Self::Model(error) => error.fmt(f),
        }
    }
}
