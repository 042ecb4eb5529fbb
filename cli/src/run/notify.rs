//! Readiness of the children, by the same protocol that systemd uses for its services (sd_notify).

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// What a child said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) stage: String,
    pub(super) ready: bool,
    pub(super) status: Option<String>,
}

/// A datagram socket in the runtime directory; removed on drop.
#[derive(Debug)]
pub(super) struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl NotifySocket {
    pub(super) fn bind(runtime_dir: &Path) -> io::Result<Self> {
        let path = runtime_dir.join("notify.sock");
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let socket = UnixDatagram::bind(&path)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next notice, if there is one.
    pub(super) fn receive(&self) -> Option<Notice> {
        let mut buffer = [0; 4096];
        let len = self.socket.recv(&mut buffer).ok()?;
        Some(parse(&String::from_utf8_lossy(&buffer[..len])))
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn parse(text: &str) -> Notice {
    let mut notice = Notice::default();
    for line in text.lines() {
        match line.split_once('=') {
            Some(("READY", "1")) => notice.ready = true,
            Some(("STATUS", status)) => notice.status = Some(status.to_owned()),
            Some(("X_HANJA_STAGE", stage)) => stage.clone_into(&mut notice.stage),
            _ => {}
        }
    }
    notice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_as_sd_notify_writes_them() {
        let n = parse("STATUS=30 fps\nX_HANJA_STAGE=infer\nREADY=1\n");
        assert_eq!(
            n,
            Notice {
                stage: "infer".into(),
                ready: true,
                status: Some("30 fps".into())
            }
        );
        assert_eq!(parse("rubbish"), Notice::default());
    }
}
