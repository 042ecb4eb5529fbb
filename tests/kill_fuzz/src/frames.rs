//! Frames whose every byte can be checked: content follows from generation and number, and carries a checksum.

use hanja_ring::{Geometry, Stamp};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub(crate) const GEOMETRY: Geometry = Geometry {
    slots: 8,
    meta_len: size_of::<Meta>() as u32,
    payload_capacity: 16 << 10,
};

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Meta {
    generation: u64,
    seq: u64,
    len: u64,
    checksum: u64,
}

/// The finaliser of splitmix64: neighbouring inputs give unrelated outputs, so that a byte of another frame is noticed.
fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn key(stamp: Stamp) -> u64 {
    mix(stamp.generation.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stamp.seq)
}

/// Payload length of a frame, bytes. Odd lengths too, for partial words at the end.
fn len(stamp: Stamp) -> usize {
    let most = GEOMETRY.payload_capacity;
    // Mostly small, so that many protocol steps happen in a second; sometimes full.
    let bound = if stamp.seq.is_multiple_of(16) {
        most
    } else {
        most / 16
    };
    1 + (mix(key(stamp)) % bound) as usize
}

/// Writes the content of frame `stamp` into `payload`; returns the metadata that goes with it.
pub(crate) fn fill(stamp: Stamp, payload: &mut Vec<u8>) -> Meta {
    let (key, len) = (key(stamp), len(stamp));
    payload.clear();
    let words = (0..len.div_ceil(8) as u64).map(|i| mix(key.wrapping_add(i)));
    words.for_each(|w| payload.extend_from_slice(&w.to_le_bytes()));
    payload.truncate(len);
    Meta {
        generation: stamp.generation,
        seq: stamp.seq,
        len: len as u64,
        checksum: checksum(payload),
    }
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What is wrong with a frame that was delivered as good; `want` is scratch space.
pub(crate) fn fault(
    stamp: Stamp,
    meta: &[u8],
    payload: &[u8],
    want: &mut Vec<u8>,
) -> Option<String> {
    let wanted = fill(stamp, want);
    let Ok((meta, _)) = Meta::read_from_prefix(meta) else {
        return Some(format!("{stamp:?}: metadata of {} bytes", meta.len()));
    };
    if meta != wanted {
        return Some(format!("{stamp:?}: metadata {meta:?}, not {wanted:?}"));
    }
    if payload.len() != want.len() {
        return Some(format!(
            "{stamp:?}: {} bytes, not {}",
            payload.len(),
            want.len()
        ));
    }
    let at = payload.iter().zip(&*want).position(|(a, b)| a != b);
    at.map(|at| format!("{stamp:?}: byte {at} of {} is another frame's", want.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damaged_byte_is_noticed() {
        let stamp = Stamp {
            generation: 7,
            seq: 3,
        };
        let (mut payload, mut want) = (Vec::new(), Vec::new());
        let meta = fill(stamp, &mut payload);
        assert_eq!(fault(stamp, meta.as_bytes(), &payload, &mut want), None);
        for i in 0..payload.len() {
            payload[i] ^= 1;
            assert!(fault(stamp, meta.as_bytes(), &payload, &mut want).is_some());
            payload[i] ^= 1;
        }
        for i in 0..size_of::<Meta>() {
            let mut meta = meta.as_bytes().to_vec();
            meta[i] ^= 1;
            assert!(fault(stamp, &meta, &payload, &mut want).is_some());
        }
        let older = Stamp { seq: 2, ..stamp };
        assert!(fault(older, meta.as_bytes(), &payload, &mut want).is_some());
    }
}
