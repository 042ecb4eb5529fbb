//! The keyboard. Read by hand, because the reader that comes with the drawing library goes round in circles for ever
//! when the terminal goes away, as it does whenever a connection breaks (decision 0021).

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// What was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A character.
    Char(char),
    /// A letter with Ctrl.
    Ctrl(char),
    /// Escape.
    Esc,
    /// Backwards.
    Back,
    /// Forwards, and with Shift.
    Tab,
    /// Tab with Shift.
    BackTab,
}

/// Standard input where that is the terminal, else the terminal itself; nothing where there is none.
#[derive(Debug)]
pub(crate) struct Keyboard {
    file: Option<OwnedFd>,
    parser: Parser,
}

impl Keyboard {
    pub(crate) fn open() -> Self {
        let stdin = io::stdin();
        let own = std::io::IsTerminal::is_terminal(&stdin)
            .then(|| stdin.as_fd().try_clone_to_owned().ok())
            .flatten();
        let file = own.or_else(|| Some(File::open("/dev/tty").ok()?.into()));
        Self {
            file,
            parser: Parser::default(),
        }
    }

    /// Waits for keys for at most `timeout`, less if a signal comes.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<Vec<Key>> {
        let Some(file) = &self.file else {
            std::thread::sleep(timeout);
            return Ok(Vec::new());
        };
        if !readable(file.as_fd(), timeout)? {
            return Ok(Vec::new());
        }
        let mut bytes = [0; 256];
        match rustix::io::read(file, &mut bytes) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => Ok(self.parser.take(&bytes[..n])),
            Err(Errno::INTR | Errno::AGAIN) => Ok(Vec::new()),
            Err(e) => Err(e.into()),
        }
    }
}

fn readable(file: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(file, PollFlags::IN)];
    let timeout = Timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    match poll(&mut fds, Some(&timeout)) {
        Ok(n) => Ok(n > 0), // a hang-up too: the read tells
        Err(Errno::INTR) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Bytes to keys. Sequences of keys that have no meaning here are passed over.
#[derive(Debug, Default)]
struct Parser {
    state: State,
    /// The beginning of a character of several bytes.
    begun: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After an escape that ended a read: a key of its own, unless the rest of a sequence follows.
    Escaped,
    /// In a sequence, until its last byte.
    Sequence,
    /// The next byte is the last.
    Single,
}

impl Parser {
    fn take(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        for (i, byte) in bytes.iter().enumerate() {
            let last = i + 1 == bytes.len();
            let state = std::mem::take(&mut self.state);
            match (state, byte) {
                (State::Escaped, b'[') => self.state = State::Sequence,
                (State::Escaped, b'O') => self.state = State::Single,
                (State::Single, _) => {}
                (State::Sequence, b'Z') => keys.push(Key::BackTab),
                (State::Sequence, 0x40..=0x7e) => {}
                (State::Sequence, 0x20..=0x3f) => self.state = State::Sequence,
                (_, 0x1b) => {
                    self.state = State::Escaped;
                    if last {
                        keys.push(Key::Esc);
                    }
                }
                _ => keys.extend(self.plain(*byte)),
            }
        }
        keys
    }

    fn plain(&mut self, byte: u8) -> Option<Key> {
        if byte < 0x80 {
            self.begun.clear();
            return Some(match byte {
                b'\t' => Key::Tab,
                b'\r' => Key::Char('\n'),
                0x08 | 0x7f => Key::Back,
                1..=26 => Key::Ctrl(char::from(byte - 1 + b'a')),
                _ => Key::Char(char::from(byte)),
            });
        }
        self.begun.push(byte);
        let c = match std::str::from_utf8(&self.begun) {
            Ok(text) => text.chars().next(),
            Err(e) if e.error_len().is_none() => return None, // there is more to come
            Err(_) => None,
        };
        self.begun.clear();
        c.map(Key::Char)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_sequences() {
        let read = |chunks: &[&[u8]]| {
            let mut parser = Parser::default();
            let keys = chunks.iter().flat_map(|c| parser.take(c));
            keys.collect::<Vec<_>>()
        };
        use Key::{Back, BackTab, Char, Ctrl, Esc, Tab};
        assert_eq!(read(&[b"q1 "]), [Char('q'), Char('1'), Char(' ')]);
        assert_eq!(
            read(&[b"\x03\x1a\t\x7f"]),
            [Ctrl('c'), Ctrl('z'), Tab, Back]
        );
        assert_eq!(read(&[b"\x1b"]), [Esc]);
        assert_eq!(read(&[b"\x1b[A\x1bOPq"]), [Char('q')]);
        assert_eq!(read(&[b"\x1b[15;2~\x1b[Zr"]), [BackTab, Char('r')]);
        // Torn apart on the way: no digit of it is taken for a key.
        assert_eq!(read(&[b"\x1b", b"[1", b"5~q"]), [Esc, Char('q')]);
        assert_eq!(read(&[b"\x1bq"]), [Char('q')]);
        assert_eq!(read(&["ㅂ三".as_bytes()]), [Char('ㅂ'), Char('三')]);
        let torn = "ㅂ".as_bytes();
        assert_eq!(read(&[&torn[..1], &torn[1..]]), [Char('ㅂ')]);
        assert_eq!(read(&[b"\xff\xfe\xe3q"]), [Char('q')]);
    }
}
