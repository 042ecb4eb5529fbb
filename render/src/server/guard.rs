//! Who may look: on loopback whoever reaches it under its own name, elsewhere whoever has the token.

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

const NEEDS_TOKEN: &str = "this view needs its token: add ?token=... to the address (it is in the configuration, or else in the log)\n";
const COOKIE_NAME: &str = "hanja_token";

/// The rule for one address.
#[derive(Clone)]
pub(crate) struct Guard {
    loopback: bool,
    token: Option<String>,
    wrong: Arc<WrongTokens>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Welcome,
    /// The token came in the address and belongs into a cookie.
    WelcomeByAddress,
    /// The page was opened under a name that is not this machine's.
    ForeignName,
    NoToken,
    WrongToken,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the token: debug output ends up in logs.
        write!(
            f,
            "Guard {{ loopback: {}, token: {} }}",
            self.loopback,
            self.token.is_some()
        )
    }
}

impl Guard {
    /// `token`: the configured one. Beyond loopback one is made up if there is none.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn new(address: SocketAddr, token: Option<&str>) -> io::Result<Self> {
        let loopback = address.ip().is_loopback();
        let token = match token.filter(|t| !t.is_empty()) {
            Some(token) => Some(token.to_owned()),
            None if loopback => None,
            None => Some(random_token()?),
        };
        let wrong = Arc::default();
        Ok(Self {
            loopback,
            token,
            wrong,
        })
    }

    /// The token that visitors need.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    fn judge(&self, query: &str, headers: &HeaderMap) -> Verdict {
        let text = |name| {
            headers
                .get(name)
                .and_then(|v: &HeaderValue| v.to_str().ok())
        };
        // A page elsewhere can point a name of its own at 127.0.0.1 and read everything; its name gives it away.
        if self.loopback && !text(HOST).is_some_and(names_loopback) {
            return Verdict::ForeignName;
        }
        let Some(token) = &self.token else {
            return Verdict::Welcome;
        };
        let mut tried = false;
        let mut is_right = |given: Vec<u8>| {
            tried = true;
            same(&given, token.as_bytes())
        };
        let mut in_query = query
            .split('&')
            .filter_map(|pair| pair.strip_prefix("token="))
            .map(decode);
        if in_query.any(&mut is_right) {
            return Verdict::WelcomeByAddress;
        }
        let bearer = text(AUTHORIZATION).and_then(|v| v.strip_prefix("Bearer "));
        let cookies = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|v| v.to_str().ok());
        let cookies = cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
            .map(decode);
        let mut given = bearer
            .map(|t| t.as_bytes().to_vec())
            .into_iter()
            .chain(cookies);
        if given.any(&mut is_right) {
            return Verdict::Welcome;
        }
        if tried {
            Verdict::WrongToken
        } else {
            Verdict::NoToken
        }
    }
}

/// Wrong tokens are answered one after the other, so that nobody tries many; how many came is said in the log.
#[derive(Debug)]
struct WrongTokens {
    /// Held for [`WRONG_PAUSE`] by each answer.
    turn: tokio::sync::Mutex<()>,
    places: Semaphore,
    log: Mutex<WrongLog>,
}

#[derive(Debug, Default)]
struct WrongLog {
    unsaid: u64,
    said: Option<Instant>,
}

/// Four tries a second: a token of 128 bits is out of reach, and so is one of a few letters for a while.
const WRONG_PAUSE: Duration = Duration::from_millis(250);
/// Wrong tokens that may wait for their answer; the others are sent away at once. Each takes up a connection.
const WRONG_WAITING: usize = 8;
/// One line in the log for this long.
const WRONG_LOG: Duration = Duration::from_secs(10);

impl Default for WrongTokens {
    fn default() -> Self {
        Self {
            turn: tokio::sync::Mutex::default(),
            places: Semaphore::new(WRONG_WAITING),
            log: Mutex::default(),
        }
    }
}

impl WrongTokens {
    async fn refuse(&self, peer: Option<SocketAddr>) -> Response {
        self.say(peer);
        let Ok(_place) = self.places.try_acquire() else {
            return (StatusCode::TOO_MANY_REQUESTS, NEEDS_TOKEN).into_response();
        };
        let _turn = self.turn.lock().await;
        tokio::time::sleep(WRONG_PAUSE).await;
        (StatusCode::UNAUTHORIZED, NEEDS_TOKEN).into_response()
    }

    fn say(&self, peer: Option<SocketAddr>) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.unsaid += 1;
        if log.said.is_none_or(|at| at.elapsed() >= WRONG_LOG) {
            let from = peer.map_or_else(|| "somebody".into(), |p| p.ip().to_string());
            tracing::warn!(
                "web view: {} wrong token(s), the last one from {from}",
                log.unsaid
            );
            *log = WrongLog {
                unsaid: 0,
                said: Some(Instant::now()),
            };
        }
    }
}

/// The middleware.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let query = request.uri().query().unwrap_or_default();
    match guard.judge(query, request.headers()) {
        Verdict::Welcome => next.run(request).await,
        Verdict::WelcomeByAddress => {
            let mut response = next.run(request).await;
            if let Some(cookie) = cookie(guard.token().unwrap_or_default()) {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
            response
        }
        Verdict::ForeignName => {
            let text = "open this page as http://localhost or http://127.0.0.1\n";
            (StatusCode::FORBIDDEN, text).into_response()
        }
        Verdict::NoToken => (StatusCode::UNAUTHORIZED, NEEDS_TOKEN).into_response(),
        Verdict::WrongToken => {
            let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
            guard.wrong.refuse(peer.map(|p| p.0)).await
        }
    }
}

fn cookie(token: &str) -> Option<HeaderValue> {
    let value = encode(token);
    let text = format!("{COOKIE_NAME}={value}; Path=/; HttpOnly; SameSite=Strict");
    HeaderValue::try_from(text).ok()
}

/// Whether a Host header names this machine's loopback; the port may be another one (forwarded by ssh).
fn names_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, "")) => name,
            Some((name, port)) if port.starts_with(':') => name,
            _ => return false,
        },
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Compares in a time that depends on the lengths only.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && std::hint::black_box(a.iter().zip(b).fold(0, |d, (x, y)| d | (x ^ y))) == 0
}

/// Percent-encodes what may not stand in an address or a cookie.
pub(crate) fn encode(text: &str) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~".contains(b);
    text.bytes()
        .map(|b| {
            if plain(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

fn decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = tail
            .get(..2)
            .and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                out.push(value);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}

/// 128 random bits in hexadecimal.
fn random_token() -> io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    fn guard(address: &str, token: Option<&str>) -> Guard {
        Guard::new(address.parse().unwrap(), token).unwrap()
    }

    fn judge(guard: &Guard, query: &str, headers: &[(HeaderName, &'static str)]) -> Verdict {
        let headers = headers
            .iter()
            .map(|(n, v)| (n.clone(), HeaderValue::from_static(v)))
            .collect();
        guard.judge(query, &headers)
    }

    #[test]
    fn loopback_answers_to_its_own_names_only() {
        let guard = guard("127.0.0.1:8080", None);
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
            "[::1]",
        ] {
            assert_eq!(
                judge(&guard, "", &[(HOST, host)]),
                Verdict::Welcome,
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "10.0.0.1",
            "",
            "[::2]",
            "[::1]x",
            "[::1",
        ] {
            assert_eq!(
                judge(&guard, "", &[(HOST, host)]),
                Verdict::ForeignName,
                "{host}"
            );
        }
        assert_eq!(judge(&guard, "", &[]), Verdict::ForeignName);
    }

    #[test]
    fn beyond_loopback_a_token_is_made_up() {
        let (one, two) = (guard("0.0.0.0:1", None), guard("0.0.0.0:1", None));
        assert_eq!(one.token().unwrap().len(), 32);
        assert_ne!(one.token(), two.token());
        assert_eq!(judge(&one, "", &[(HOST, "anything")]), Verdict::NoToken);
        assert_eq!(
            judge(&one, &format!("a=b&token={}", one.token().unwrap()), &[]),
            Verdict::WelcomeByAddress
        );
        assert!(!format!("{one:?}").contains(one.token().unwrap()));
    }

    #[test]
    fn a_token_comes_by_address_cookie_or_header() {
        let guard = guard("192.0.2.1:80", Some("s3 c€"));
        assert_eq!(
            judge(&guard, "token=s3%20c%E2%82%AC", &[]),
            Verdict::WelcomeByAddress
        );
        assert_eq!(
            judge(&guard, "", &[(COOKIE, "x=1; hanja_token=s3%20c%E2%82%AC")]),
            Verdict::Welcome
        );
        assert_eq!(
            judge(&guard, "", &[(COOKIE, "hanja_tokens=s3%20c%E2%82%AC")]),
            Verdict::NoToken
        );
        for wrong in ["token=", "token=s3", "token=%", "token=s3%20c%E2%82%AC0"] {
            assert_eq!(judge(&guard, wrong, &[]), Verdict::WrongToken, "{wrong}");
        }
        for none in ["", "xtoken=s3%20c%E2%82%AC"] {
            assert_eq!(judge(&guard, none, &[]), Verdict::NoToken, "{none}");
        }
        let plain = Guard {
            token: Some("abc".into()),
            ..guard
        };
        assert_eq!(
            judge(&plain, "", &[(AUTHORIZATION, "Bearer abc")]),
            Verdict::Welcome
        );
        assert_eq!(
            judge(&plain, "", &[(AUTHORIZATION, "Bearer abd")]),
            Verdict::WrongToken
        );
        assert_eq!(decode(&encode("s3 c€%;")), "s3 c€%;".as_bytes());
    }
}
