//! What is known of a model once it is loaded.

/// Height and width that the model's input is fixed to; `None`: any multiple of its stride.
pub(crate) type FixedSize = Option<(usize, usize)>;

/// Facts of a loaded model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Class names, if the file has any that can be understood.
    pub(crate) names: Option<Vec<String>>,
    /// Sides of an input that is not fixed are multiples of it.
    pub(crate) stride: usize,
    pub(crate) fixed: FixedSize,
}
