//! The choice of a backend at run time: the best one that works. Why each better one was passed over is kept, so that a
//! fall-back is never silent.

use crate::backend::Unusable;
use crate::engine::Job;
use crate::error::InferError;
use hanja_record::Backend;

/// Every backend, the best first: the order of `auto`.
const ALL: [Backend; 3] = [Backend::TensorRt, Backend::OnnxRuntime, Backend::Rten];

/// A backend that would have been preferred, and why it was not taken.
pub(crate) type PassedOver = (&'static str, String);

/// The backends that a configuration asks for: all of them for `auto`.
pub(crate) fn wanted(name: &str) -> Result<&'static [Backend], InferError> {
    const IN_ORDER: &[Backend] = &ALL;
    if name == "auto" {
        return Ok(IN_ORDER);
    }
    let one = IN_ORDER.iter().find(|b| b.name() == name);
    one.map(std::slice::from_ref)
        .ok_or_else(|| InferError::Backend {
            name: name.into(),
            reason: format!(
                "there is no backend of that name; there are auto, {}",
                ALL.map(Backend::name).join(", ")
            ),
        })
}

/// The backends that run on the CPU, where nothing has to be built.
pub(crate) fn on_the_cpu() -> &'static [Backend] {
    &[Backend::OnnxRuntime, Backend::Rten]
}

/// The result of trying backends.
#[derive(Debug)]
pub(crate) struct Choice<T> {
    /// `None`: only because of `not_built`.
    pub(crate) found: Option<T>,
    pub(crate) passed_over: Vec<PassedOver>,
    /// The build that would make a better backend usable.
    pub(crate) not_built: Option<Job>,
}

/// The first of `backends` for which `attempt` succeeds, and those passed over. If it succeeds for none, the error is that
/// of the last one, which needs the least of the machine.
pub(crate) fn first<T>(
    backends: &[Backend],
    mut attempt: impl FnMut(Backend) -> Result<T, Unusable>,
) -> Result<Choice<T>, InferError> {
    let mut choice = Choice {
        found: None,
        passed_over: Vec::new(),
        not_built: None,
    };
    let mut error = None;
    for backend in backends {
        let name = backend.name();
        let unusable = match attempt(*backend) {
            Ok(found) => {
                choice.found = Some(found);
                return Ok(choice);
            }
            Err(unusable) => unusable,
        };
        // It becomes part of one line of the log.
        let reason = unusable.to_string().replace('\n', " ");
        tracing::debug!("backend {name}: {reason}");
        choice.passed_over.push((name, reason));
        match unusable {
            Unusable::NotBuilt(job) => choice.not_built = Some(*job),
            Unusable::Model(e) => error = Some(e),
            Unusable::Missing(reason) => {
                let name = name.into();
                error = Some(InferError::Backend { name, reason });
            }
        }
    }
    match error {
        Some(error) => Err(error),
        None => Ok(choice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelError;

    fn missing() -> Unusable {
        Unusable::Missing("not\nhere".into())
    }

    fn broken() -> Unusable {
        ModelError::NotYolo {
            model: "m.onnx".into(),
            reason: "it is a cat".into(),
        }
        .into()
    }

    #[test]
    fn auto_is_the_best_first_and_a_name_is_that_one_alone() {
        let names = |backend| -> Vec<_> {
            let wanted = wanted(backend).unwrap();
            wanted.iter().map(|b| b.name()).collect()
        };
        assert_eq!(names("auto"), ["tensorrt", "onnxruntime", "rten"]);
        for name in ["tensorrt", "onnxruntime", "rten"] {
            assert_eq!(names(name), [name]);
        }
        let error = wanted("cuda").map(<[_]>::len).unwrap_err().to_string();
        assert!(
            error.contains("cuda") && error.contains("auto, tensorrt, onnxruntime, rten"),
            "{error}"
        );
    }

    #[test]
    fn the_cpu_has_all_but_tensorrt() {
        assert_eq!(on_the_cpu(), &ALL[1..]);
    }

    #[test]
    fn every_one_passed_over_has_its_reason() {
        let choice = first(&ALL, |backend| match backend {
            Backend::TensorRt => Err(missing()),
            Backend::OnnxRuntime => Err(broken()),
            backend => Ok(backend),
        });
        let Choice {
            found,
            passed_over,
            not_built,
        } = choice.unwrap();
        assert_eq!((found, not_built.is_none()), (Some(Backend::Rten), true));
        assert_eq!(passed_over[0], ("tensorrt", "not here".into()));
        assert_eq!(passed_over[1].0, "onnxruntime");
        assert!(passed_over[1].1.contains("it is a cat"), "{passed_over:?}");
        let choice = first(&ALL, Ok).unwrap();
        assert_eq!(
            (choice.found, choice.passed_over.len()),
            (Some(Backend::TensorRt), 0)
        );
    }

    #[test]
    fn none_at_all_is_the_last_ones_error() {
        let error = first::<()>(&ALL, |backend| match backend {
            Backend::Rten => Err(broken()),
            _ => Err(missing()),
        });
        assert!(
            matches!(error, Err(InferError::Model(ModelError::NotYolo { .. }))),
            "{error:?}"
        );
        let error = first::<()>(&ALL[1..2], |_| Err(missing()));
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("backend onnxruntime is not available"),
            "{error}"
        );
    }
}
