//! Slices of one track must lie in one another or apart. Frames overlap: while one is being inferred the next one
//! arrives. So each process has as many lanes as it has frames at a time.

/// More lanes than this are a broken clock rather than frames.
const MOST: usize = 32;

/// Lanes of one process.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// When the last slice of each ends.
    ends: Vec<u64>,
}

impl Lanes {
    /// The first lane that is free from `from` to `to`; slices must come ordered by `from`. `None`: there are too many.
    pub(super) fn place(&mut self, from: u64, to: u64) -> Option<usize> {
        let free = self.ends.iter().position(|end| *end <= from);
        let lane = match free {
            Some(lane) => lane,
            None if self.ends.len() == MOST => return None,
            None => {
                self.ends.push(0);
                self.ends.len() - 1
            }
        };
        self.ends[lane] = to;
        Some(lane)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_gets_a_lane_of_its_own() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.place(0, 10), Some(0));
        assert_eq!(lanes.place(5, 15), Some(1));
        assert_eq!(lanes.place(10, 12), Some(0));
        assert_eq!(lanes.place(11, 12), Some(2));
        assert_eq!(lanes.place(15, 15), Some(0));
        assert_eq!(lanes.count(), 3);
        for _ in 3..MOST {
            assert!(lanes.place(16, 99).is_some());
        }
        lanes.place(16, 99);
        lanes.place(16, 99);
        lanes.place(16, 99);
        assert_eq!(lanes.place(17, 99), None);
    }
}
