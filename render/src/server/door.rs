//! Where the server listens, and what it tells the user about it.

use super::gate::Gate;
use crate::RenderError;
use hanja_common::config::RenderConfig;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;

/// Shortest token that is accepted.
const LEAST_TOKEN: usize = 8;

/// A bound address with its rules.
#[derive(Debug)]
pub(crate) struct Door {
    pub(super) listener: TcpListener,
    pub(super) gate: Arc<Gate>,
    /// For the statistics, which anyone may tap: without the token.
    pub(crate) address: String,
    /// For the log: what to open in a browser.
    pub(crate) invitation: String,
}

impl Door {
    /// Binds the configured address; `None` if it is `off`.
    pub(crate) fn open(config: &RenderConfig) -> Result<Option<Self>, RenderError> {
        let wanted = config.http.trim();
        if wanted == "off" {
            return Ok(None);
        }
        if config.token.as_ref().is_some_and(|t| t.len() < LEAST_TOKEN) {
            return Err(RenderError::Token);
        }
        let listener = bind(wanted)?;
        let bound = |source| RenderError::Bind {
            address: wanted.into(),
            source,
        };
        let local = listener.local_addr().map_err(bound)?;
        listener.set_nonblocking(true).map_err(bound)?;
        let address = format!("http://{}/", reachable(local));
        let (token, invitation) = match &config.token {
            Some(token) => {
                let text = format!("{address} (asks for the configured token: append ?token=...)");
                (Some(token.clone()), text)
            }
            None if local.ip().is_loopback() => (None, address.clone()),
            None => {
                let token = make_token().map_err(RenderError::Thread)?;
                let text = format!("{address}?token={token}");
                (Some(token), text)
            }
        };
        Ok(Some(Self {
            listener,
            gate: Arc::new(Gate::new(local, token)),
            address,
            invitation,
        }))
    }
}

fn bind(wanted: &str) -> Result<TcpListener, RenderError> {
    let addresses: Vec<SocketAddr> = match wanted.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(source) => {
            return Err(RenderError::Address {
                address: wanted.into(),
                source,
            });
        }
    };
    TcpListener::bind(addresses.as_slice()).map_err(|source| {
        let address = wanted.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => RenderError::InUse { address },
            _ => RenderError::Bind { address, source },
        }
    })
}

/// The address as others can use it: a wildcard is replaced by this machine's name.
fn reachable(local: SocketAddr) -> String {
    if local.ip().is_unspecified() {
        let name = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        return format!("{name}:{}", local.port());
    }
    local.to_string()
}

/// 128 bits from the kernel, in hexadecimal.
fn make_token() -> io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(http: &str, token: Option<&str>) -> RenderConfig {
        RenderConfig {
            http: http.into(),
            token: token.map(Into::into),
        }
    }

    #[test]
    fn off_and_loopback() {
        assert!(Door::open(&config("off", None)).unwrap().is_none());
        for address in ["127.0.0.1:0", "localhost:0"] {
            let door = Door::open(&config(address, None)).unwrap().unwrap();
            assert_eq!(door.address, door.invitation);
            let port = door.listener.local_addr().unwrap().port();
            assert!(
                door.address.ends_with(&format!(":{port}/")),
                "{}",
                door.address
            );
        }
    }

    #[test]
    fn beyond_loopback_a_token_is_made_and_logged() {
        let door = Door::open(&config("0.0.0.0:0", None)).unwrap().unwrap();
        let (address, token) = door.invitation.split_once("?token=").unwrap();
        assert_eq!(address, door.address);
        assert_eq!(token.len(), 32);
        assert!(!door.address.contains("0.0.0.0"));
        let other = Door::open(&config("0.0.0.0:0", None)).unwrap().unwrap();
        assert_ne!(other.invitation.split_once("?token=").unwrap().1, token);
    }

    #[test]
    fn a_configured_token_is_not_logged() {
        let door = Door::open(&config("127.0.0.1:0", Some("open sesame")))
            .unwrap()
            .unwrap();
        assert!(!door.invitation.contains("sesame"));
    }

    #[test]
    fn refusals_name_the_address_and_the_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = Door::open(&config(&address, None)).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "address {address} is already in use: choose another with --http ADDR or --http off"
            )
        );
        for bad in ["8080", "nowhere", "127.0.0.1", "127.0.0.1:99999", ""] {
            let error = Door::open(&config(bad, None)).unwrap_err();
            assert!(
                matches!(error, RenderError::Address { .. }),
                "{bad}: {error}"
            );
            assert!(error.to_string().contains("127.0.0.1:8080"), "{error}");
        }
        let error = Door::open(&config("127.0.0.1:0", Some("short"))).unwrap_err();
        assert!(matches!(error, RenderError::Token), "{error}");
    }
}
