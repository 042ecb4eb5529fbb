//! Who may look: on loopback whoever reaches it under its own name, elsewhere whoever has the token.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const COOKIE_NAME: &str = "hanja_token";

/// The rule for one address.
#[derive(Clone)]
pub(crate) struct Guard {
    loopback: bool,
    token: Option<String>,
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
        Ok(Self { loopback, token })
    }

    /// The token that visitors need.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// `Ok(true)`: the token came in the address and belongs into a cookie.
    fn judge(&self, query: &str, headers: &HeaderMap) -> Result<bool, (StatusCode, &'static str)> {
        let text = |name| {
            headers
                .get(name)
                .and_then(|v: &HeaderValue| v.to_str().ok())
        };
        // A page elsewhere can point a name of its own at 127.0.0.1 and read everything; its name gives it away.
        if self.loopback && !text(HOST).is_some_and(names_loopback) {
            return Err((
                StatusCode::FORBIDDEN,
                "open this page as http://localhost or http://127.0.0.1\n",
            ));
        }
        let Some(token) = &self.token else {
            return Ok(false);
        };
        let in_query = query
            .split('&')
            .filter_map(|pair| pair.strip_prefix("token="));
        if in_query.map(decode).any(|t| same(&t, token.as_bytes())) {
            return Ok(true);
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
        if given.any(|t| same(&t, token.as_bytes())) {
            return Ok(false);
        }
        Err((
            StatusCode::UNAUTHORIZED,
            "this view needs its token: add ?token=... to the address (it is in the configuration, or else in the log)\n",
        ))
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
        Err(refusal) => refusal.into_response(),
        Ok(from_query) => {
            let mut response = next.run(request).await;
            if from_query && let Some(cookie) = cookie(guard.token().unwrap_or_default()) {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
            response
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
        Some(rest) => rest.split(']').next().unwrap_or_default(),
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

    fn judge(
        guard: &Guard,
        query: &str,
        headers: &[(HeaderName, &'static str)],
    ) -> Result<bool, u16> {
        let headers = headers
            .iter()
            .map(|(n, v)| (n.clone(), HeaderValue::from_static(v)))
            .collect();
        guard
            .judge(query, &headers)
            .map_err(|(status, _)| status.as_u16())
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
            assert_eq!(judge(&guard, "", &[(HOST, host)]), Ok(false), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "10.0.0.1",
            "",
            "[::2]",
        ] {
            assert_eq!(judge(&guard, "", &[(HOST, host)]), Err(403), "{host}");
        }
        assert_eq!(judge(&guard, "", &[]), Err(403));
    }

    #[test]
    fn beyond_loopback_a_token_is_made_up() {
        let (one, two) = (guard("0.0.0.0:1", None), guard("0.0.0.0:1", None));
        assert_eq!(one.token().unwrap().len(), 32);
        assert_ne!(one.token(), two.token());
        assert_eq!(judge(&one, "", &[(HOST, "anything")]), Err(401));
        assert_eq!(
            judge(&one, &format!("a=b&token={}", one.token().unwrap()), &[]),
            Ok(true)
        );
        assert!(!format!("{one:?}").contains(one.token().unwrap()));
    }

    #[test]
    fn a_token_comes_by_address_cookie_or_header() {
        let guard = guard("192.0.2.1:80", Some("s3 c€"));
        assert_eq!(judge(&guard, "token=s3%20c%E2%82%AC", &[]), Ok(true));
        assert_eq!(
            judge(&guard, "", &[(COOKIE, "x=1; hanja_token=s3%20c%E2%82%AC")]),
            Ok(false)
        );
        assert_eq!(
            judge(&guard, "", &[(COOKIE, "hanja_tokens=s3%20c%E2%82%AC")]),
            Err(401)
        );
        for wrong in [
            "",
            "token=",
            "token=s3",
            "token=%",
            "token=s3%20c%E2%82%AC0",
            "xtoken=s3%20c%E2%82%AC",
        ] {
            assert_eq!(judge(&guard, wrong, &[]), Err(401), "{wrong}");
        }
        let plain = Guard {
            token: Some("abc".into()),
            ..guard
        };
        assert_eq!(
            judge(&plain, "", &[(AUTHORIZATION, "Bearer abc")]),
            Ok(false)
        );
        assert_eq!(
            judge(&plain, "", &[(AUTHORIZATION, "Bearer abd")]),
            Err(401)
        );
        assert_eq!(decode(&encode("s3 c€%;")), "s3 c€%;".as_bytes());
    }
}
