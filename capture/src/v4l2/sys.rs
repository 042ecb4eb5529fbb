//! The part of `linux/videodev2.h` that capture needs, for 64-bit machines. Sizes and offsets are asserted; a test
//! compares them with the installed header where there is a C compiler.

#![allow(unsafe_code)]

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use std::os::fd::AsFd;
use zerocopy::FromBytes;

pub(crate) const CAP_VIDEO_CAPTURE: u32 = 1;
pub(crate) const CAP_VIDEO_CAPTURE_MPLANE: u32 = 0x1000;
pub(crate) const CAP_STREAMING: u32 = 0x0400_0000;
pub(crate) const CAP_DEVICE_CAPS: u32 = 0x8000_0000;
pub(crate) const BUF_TYPE_CAPTURE: u32 = 1;
pub(crate) const MEMORY_MMAP: u32 = 1;
pub(crate) const FIELD_NONE: u32 = 1;
pub(crate) const BUF_FLAG_ERROR: u32 = 0x40;
pub(crate) const BUF_FLAG_TIMESTAMP_MASK: u32 = 0xe000;
pub(crate) const BUF_FLAG_TIMESTAMP_MONOTONIC: u32 = 0x2000;
pub(crate) const BUF_FLAG_TSTAMP_SRC_MASK: u32 = 0x7_0000;
pub(crate) const BUF_FLAG_TSTAMP_SRC_SOE: u32 = 0x1_0000;
/// V4L2_IN_ST_NO_POWER, _NO_SIGNAL, _NO_H_LOCK, _NO_SYNC: what comes is no picture.
pub(crate) const INPUT_DEAD: u32 = 0x1_0103;
pub(crate) const CAP_TIMEPERFRAME: u32 = 0x1000;
pub(crate) const FRAME_DISCRETE: u32 = 1;

/// `struct v4l2_capability`
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes)]
pub(crate) struct Capability {
    pub(crate) driver: [u8; 16],
    pub(crate) card: [u8; 32],
    pub(crate) bus_info: [u8; 32],
    pub(crate) version: u32,
    pub(crate) capabilities: u32,
    pub(crate) device_caps: u32,
    pub(crate) reserved: [u32; 3],
}

/// `struct v4l2_input`
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes)]
pub(crate) struct Input {
    pub(crate) index: u32,
    pub(crate) name: [u8; 32],
    pub(crate) kind: u32,
    pub(crate) audioset: u32,
    pub(crate) tuner: u32,
    pub(crate) std: u64,
    pub(crate) status: u32,
    pub(crate) capabilities: u32,
    pub(crate) reserved: [u32; 3],
    pub(crate) padding: u32,
}

/// `struct v4l2_fmtdesc`
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes)]
pub(crate) struct FmtDesc {
    pub(crate) index: u32,
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) description: [u8; 32],
    pub(crate) pixelformat: u32,
    pub(crate) mbus_code: u32,
    pub(crate) reserved: [u32; 3],
}

/// `struct v4l2_pix_format`
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes)]
pub(crate) struct PixFormat {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) pixelformat: u32,
    pub(crate) field: u32,
    pub(crate) bytesperline: u32,
    pub(crate) sizeimage: u32,
    pub(crate) colorspace: u32,
    pub(crate) private: u32,
    pub(crate) flags: u32,
    pub(crate) encoding: u32,
    pub(crate) quantization: u32,
    pub(crate) transfer: u32,
}

/// `struct v4l2_format`; the union is 200 bytes, aligned like its largest member.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes)]
pub(crate) struct Format {
    pub(crate) kind: u32,
    pub(crate) padding: u32,
    pub(crate) pix: PixFormat,
    pub(crate) rest: [u32; 38],
}

/// `struct v4l2_frmsizeenum`; stepwise: min, max, step of width, then of height.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes)]
pub(crate) struct FrameSize {
    pub(crate) index: u32,
    pub(crate) pixelformat: u32,
    pub(crate) kind: u32,
    pub(crate) values: [u32; 6],
    pub(crate) reserved: [u32; 2],
}

/// `struct v4l2_streamparm` for capture.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes)]
pub(crate) struct StreamParm {
    pub(crate) kind: u32,
    pub(crate) capability: u32,
    pub(crate) capturemode: u32,
    /// Seconds per frame: numerator, denominator.
    pub(crate) timeperframe: [u32; 2],
    pub(crate) rest: [u32; 46],
}

/// `struct v4l2_requestbuffers`
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes)]
pub(crate) struct RequestBuffers {
    pub(crate) count: u32,
    pub(crate) kind: u32,
    pub(crate) memory: u32,
    pub(crate) capabilities: u32,
    pub(crate) flags: u32,
}

/// `struct v4l2_buffer` with a 64-bit `struct timeval`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes)]
pub(crate) struct Buffer {
    pub(crate) index: u32,
    pub(crate) kind: u32,
    pub(crate) bytesused: u32,
    pub(crate) flags: u32,
    pub(crate) field: u32,
    pub(crate) padding: u32,
    pub(crate) seconds: i64,
    pub(crate) microseconds: i64,
    pub(crate) timecode: [u32; 4],
    pub(crate) sequence: u32,
    pub(crate) memory: u32,
    pub(crate) offset: u32,
    pub(crate) offset_high: u32,
    pub(crate) length: u32,
    pub(crate) reserved2: u32,
    pub(crate) request: u32,
    pub(crate) padding2: u32,
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(
        size_of::<usize>() == 8,
        "capture's V4L2 structures are those of 64-bit kernels"
    );
    assert!(size_of::<Capability>() == 104);
    assert!(size_of::<FmtDesc>() == 64);
    assert!(size_of::<Input>() == 80 && offset_of!(Input, status) == 56);
    assert!(size_of::<Format>() == 208 && offset_of!(Format, pix) == 8);
    assert!(size_of::<FrameSize>() == 44);
    assert!(size_of::<StreamParm>() == 204);
    assert!(size_of::<RequestBuffers>() == 20);
    assert!(size_of::<Buffer>() == 88 && offset_of!(Buffer, seconds) == 24);
    assert!(offset_of!(Buffer, sequence) == 56 && offset_of!(Buffer, length) == 72);
};

/// Compiles if whatever the kernel writes into a `T` is a `T`.
const fn any_bytes<T: FromBytes>() {}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($kind:ty) = $opcode:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name(fd: impl AsFd, value: &mut $kind) -> Result<(), Errno> {
            const OPCODE: Opcode = $opcode;
            const { any_bytes::<$kind>() };
            // SAFETY: the opcode is videodev2.h's for exactly this structure, whose size is asserted above; the
            // kernel reads and writes no more than it, and whatever it writes is a value.
            unsafe { ioctl(fd, Updater::<OPCODE, $kind>::new(value)) }
        }
    )*};
}

calls! {
    /// VIDIOC_QUERYCAP
    query_capability(Capability) = opcode::read::<Capability>(b'V', 0);
    /// VIDIOC_ENUM_FMT
    enum_format(FmtDesc) = opcode::read_write::<FmtDesc>(b'V', 2);
    /// VIDIOC_S_FMT
    set_format(Format) = opcode::read_write::<Format>(b'V', 5);
    /// VIDIOC_REQBUFS
    request_buffers(RequestBuffers) = opcode::read_write::<RequestBuffers>(b'V', 8);
    /// VIDIOC_QUERYBUF
    query_buffer(Buffer) = opcode::read_write::<Buffer>(b'V', 9);
    /// VIDIOC_QBUF
    queue_buffer(Buffer) = opcode::read_write::<Buffer>(b'V', 15);
    /// VIDIOC_DQBUF
    dequeue_buffer(Buffer) = opcode::read_write::<Buffer>(b'V', 17);
    /// VIDIOC_STREAMON
    stream_on(u32) = opcode::write::<u32>(b'V', 18);
    /// VIDIOC_STREAMOFF
    stream_off(u32) = opcode::write::<u32>(b'V', 19);
    /// VIDIOC_S_PARM
    set_parameters(StreamParm) = opcode::read_write::<StreamParm>(b'V', 22);
    /// VIDIOC_ENUMINPUT
    enum_input(Input) = opcode::read_write::<Input>(b'V', 26);
    /// VIDIOC_G_INPUT
    get_input(u32) = opcode::read::<u32>(b'V', 38);
    /// VIDIOC_ENUM_FRAMESIZES
    enum_frame_sizes(FrameSize) = opcode::read_write::<FrameSize>(b'V', 74);
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    /// Compiles the kernel's header, where there is one, and compares sizes, offsets and ioctl numbers.
    #[test]
    fn structures_are_the_kernels() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("probe.c");
        std::fs::write(
            &source,
            r"
#include <time.h>
#include <linux/videodev2.h>
#include <stddef.h>
#define SAME(a, b) _Static_assert((a) == (b), #a)
SAME(sizeof(struct v4l2_capability), 104); SAME(sizeof(struct v4l2_fmtdesc), 64);
SAME(sizeof(struct v4l2_format), 208); SAME(offsetof(struct v4l2_format, fmt), 8);
SAME(sizeof(struct v4l2_frmsizeenum), 44); SAME(sizeof(struct v4l2_streamparm), 204);
SAME(sizeof(struct v4l2_requestbuffers), 20); SAME(sizeof(struct v4l2_buffer), 88);
SAME(offsetof(struct v4l2_buffer, timestamp), 24); SAME(offsetof(struct v4l2_buffer, sequence), 56);
SAME(offsetof(struct v4l2_buffer, m), 64); SAME(offsetof(struct v4l2_buffer, length), 72);
SAME(offsetof(struct v4l2_pix_format, bytesperline), 16); SAME(offsetof(struct v4l2_pix_format, sizeimage), 20);
SAME(offsetof(struct v4l2_streamparm, parm.capture.timeperframe), 12);
SAME(VIDIOC_QUERYCAP, 0x80685600); SAME(VIDIOC_ENUM_FMT, 0xc0405602); SAME(VIDIOC_S_FMT, 0xc0d05605);
SAME(VIDIOC_REQBUFS, 0xc0145608); SAME(VIDIOC_QUERYBUF, 0xc0585609); SAME(VIDIOC_QBUF, 0xc058560f);
SAME(VIDIOC_DQBUF, 0xc0585611); SAME(VIDIOC_STREAMON, 0x40045612); SAME(VIDIOC_STREAMOFF, 0x40045613);
SAME(sizeof(struct v4l2_input), 80); SAME(offsetof(struct v4l2_input, status), 56);
SAME(VIDIOC_ENUMINPUT, 0xc050561a); SAME(VIDIOC_G_INPUT, 0x80045626);
SAME(V4L2_IN_ST_NO_POWER | V4L2_IN_ST_NO_SIGNAL | V4L2_IN_ST_NO_H_LOCK | V4L2_IN_ST_NO_SYNC, 0x10103);
SAME(VIDIOC_S_PARM, 0xc0cc5616); SAME(VIDIOC_ENUM_FRAMESIZES, 0xc02c564a);
SAME(V4L2_CAP_STREAMING, 0x04000000); SAME(V4L2_CAP_DEVICE_CAPS, 0x80000000);
SAME(V4L2_BUF_FLAG_ERROR, 0x40); SAME(V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC, 0x2000);
SAME(V4L2_BUF_FLAG_TSTAMP_SRC_MASK, 0x70000); SAME(V4L2_BUF_FLAG_TSTAMP_SRC_SOE, 0x10000);
",
        )
        .unwrap();
        let header = std::path::Path::new("/usr/include/linux/videodev2.h").exists();
        let compiler = Command::new("cc").arg("--version").output().is_ok();
        if !header || !compiler {
            eprintln!("skipped: needs cc and linux/videodev2.h");
            return;
        }
        let out = Command::new("cc")
            .args(["-std=gnu11", "-fsyntax-only"])
            .arg(&source)
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }

    #[test]
    fn opcodes_are_the_kernels() {
        use super::*;
        assert_eq!(opcode::read::<Capability>(b'V', 0), 0x8068_5600);
        assert_eq!(opcode::read_write::<Buffer>(b'V', 17), 0xc058_5611);
        assert_eq!(opcode::write::<u32>(b'V', 18), 0x4004_5612);
        assert_eq!(opcode::read::<u32>(b'V', 38), 0x8004_5626);
        assert_eq!(opcode::read_write::<Input>(b'V', 26), 0xc050_561a);
        assert_eq!(opcode::read_write::<FrameSize>(b'V', 74), 0xc02c_564a);
    }
}
