//! The rows of the model's output that pass the filter kernel.

/// A box above the threshold, in input pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilteredBox {
    /// Left.
    pub x1: f32,
    /// Top.
    pub y1: f32,
    /// Right.
    pub x2: f32,
    /// Bottom.
    pub y2: f32,
    /// Objectness times best class, at most 1.
    pub score: f32,
    /// The best class.
    pub class: u16,
    /// Row in the model's output: makes the order of equal scores certain.
    pub row: u32,
}

/// Words before the list: its length, and room to align it.
pub(crate) const HEADER_WORDS: usize = 8;
/// Words of one candidate in the list.
pub(crate) const CANDIDATE_WORDS: usize = 8;

impl FilteredBox {
    fn of_words(words: &[u32; CANDIDATE_WORDS]) -> Self {
        let [x1, y1, x2, y2, score, class, row, _] = *words;
        let [x1, y1, x2, y2, score] = [x1, y1, x2, y2, score].map(f32::from_bits);
        Self {
            x1,
            y1,
            x2,
            y2,
            score,
            class: class as u16, // `FilterSpec::check` limits the columns to what fits
            row,
        }
    }
}

/// The boxes of one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilteredBoxes {
    /// Best first; rows of equal score in order. At most as many as was asked for.
    pub list: Vec<FilteredBox>,
    /// How many were above the threshold in all.
    pub total: u32,
}

impl FilteredBoxes {
    /// Decodes and sorts the kernel's output, a header and a list, as 32-bit words. Keeps the best `most`.
    pub(crate) fn of_words(words: &[u32], most: usize) -> Self {
        let (header, list) = words.split_at(HEADER_WORDS.min(words.len()));
        let total = header.first().copied().unwrap_or(0);
        let (list, _) = list.as_chunks::<CANDIDATE_WORDS>();
        let order =
            |a: &FilteredBox, b: &FilteredBox| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row));
        let mut list: Vec<_> = list
            .iter()
            .take(total as usize)
            .map(FilteredBox::of_words)
            .collect();
        if list.len() > most {
            list.select_nth_unstable_by(most, order);
            list.truncate(most);
        }
        list.sort_unstable_by(order);
        Self { list, total }
    }
}
