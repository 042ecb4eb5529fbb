//! Who may come in. On loopback: only requests that mean this machine by name, so that a web site cannot reach the
//! camera by pointing its own name at 127.0.0.1 (DNS rebinding). Beyond loopback, or if one is configured: only
//! those who know the token.

use axum::extract::{Query, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The rules for one address.
#[derive(Debug)]
pub(crate) struct Gate {
    address: SocketAddr,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Params {
    token: Option<String>,
}

/// What is done with a request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Enter,
    /// The token was in the address of the page: give a cookie and get it out of the address bar.
    Cookie(String),
    Refuse(StatusCode, &'static str),
}

impl Gate {
    pub(crate) fn new(address: SocketAddr, token: Option<String>) -> Self {
        Self { address, token }
    }

    fn judge(&self, uri: &Uri, headers: &HeaderMap) -> Verdict {
        // Every page here is a GET without a body; whoever sends one means somebody else.
        let length = text(headers, &header::CONTENT_LENGTH).unwrap_or("0");
        if length != "0" || headers.contains_key(header::TRANSFER_ENCODING) {
            return Verdict::Refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "requests have no body here\n",
            );
        }
        match &self.token {
            Some(token) => self.judge_token(token, uri, headers),
            None if self.knows_host(uri, headers) => Verdict::Enter,
            None => Verdict::Refuse(
                StatusCode::FORBIDDEN,
                "this view answers to localhost only; to reach it by another name, start it with --http and the \
                 address of that name, and use the token it logs\n",
            ),
        }
    }

    fn judge_token(&self, token: &str, uri: &Uri, headers: &HeaderMap) -> Verdict {
        let query = Query::<Params>::try_from_uri(uri)
            .ok()
            .and_then(|q| q.0.token);
        if query.is_some_and(|given| same(given.as_bytes(), token.as_bytes())) {
            return match uri.path() {
                "/" => Verdict::Cookie(self.set_cookie(token)),
                _ => Verdict::Enter,
            };
        }
        let bearer = text(headers, &header::AUTHORIZATION).and_then(|v| v.strip_prefix("Bearer "));
        if bearer.is_some_and(|given| same(given.trim().as_bytes(), token.as_bytes())) {
            return Verdict::Enter;
        }
        let wanted = hex(token);
        let name = self.cookie_name();
        let given = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(key, value)| key == name && same(value.as_bytes(), wanted.as_bytes()));
        if given {
            return Verdict::Enter;
        }
        Verdict::Refuse(
            StatusCode::UNAUTHORIZED,
            "a token is needed: open the address that the log of render shows, or send \
             'Authorization: Bearer TOKEN'\n",
        )
    }

    /// Whether the request means this machine. An absolute target must do so as well as the Host header.
    fn knows_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next().and_then(|h| h.to_str().ok()), hosts.next()) else {
            return false;
        };
        self.is_local(host) && uri.authority().is_none_or(|a| self.is_local(a.as_str()))
    }

    fn is_local(&self, authority: &str) -> bool {
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        };
        let host = host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .unwrap_or(host);
        if host.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let local =
            |ip: IpAddr| ip == self.address.ip() || ip == Ipv4Addr::LOCALHOST || ip.is_loopback();
        host.parse::<IpAddr>().is_ok_and(local)
    }

    /// Cookies know no ports: without one in the name, two views on one machine would log each other out.
    fn cookie_name(&self) -> String {
        format!("hanja_token_{}", self.address.port())
    }

    fn set_cookie(&self, token: &str) -> String {
        let (name, value) = (self.cookie_name(), hex(token));
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000")
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

/// Any token as letters that a cookie may hold.
fn hex(token: &str) -> String {
    token.bytes().map(|b| format!("{b:02x}")).collect()
}

/// Compares in a time that depends on the lengths only.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    let mut difference = u8::from(given.len() != wanted.len());
    for (n, w) in wanted.iter().enumerate() {
        difference |= w ^ given.get(n).copied().unwrap_or(!w);
    }
    std::hint::black_box(difference) == 0
}

/// The middleware around every page.
pub(super) async fn gate(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let verdict = gate.judge(request.uri(), request.headers());
    let mut response = match verdict {
        Verdict::Enter => next.run(request).await,
        Verdict::Cookie(cookie) => {
            let headers = [
                (header::SET_COOKIE, cookie),
                (header::LOCATION, "/".to_owned()),
            ];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Verdict::Refuse(status, why) => {
            (status, [(header::CONNECTION, "close")], why).into_response()
        }
    };
    harden(response.headers_mut());
    response
}

/// What a browser may do with what it gets: nothing from elsewhere, nothing framed, nothing kept.
fn harden(headers: &mut HeaderMap) {
    const ALL: [(HeaderName, &str); 6] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        // A dashboard on this machine may show the stream in an <img>; other sites may not.
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-site",
        ),
    ];
    for (name, value) in ALL {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn gate(token: Option<&str>) -> Gate {
        Gate::new("127.0.0.1:8080".parse().unwrap(), token.map(Into::into))
    }

    fn enters(gate: &Gate, uri: &str, pairs: &[(&'static str, &str)]) -> bool {
        gate.judge(&uri.parse().unwrap(), &headers(pairs)) == Verdict::Enter
    }

    #[test]
    fn loopback_answers_to_its_own_names_only() {
        let g = gate(None);
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "127.0.0.1",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(enters(&g, "/", &[("host", host)]), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8080",
            "10.0.0.1",
            "",
            ":8080",
        ] {
            assert!(!enters(&g, "/", &[("host", host)]), "{host}");
        }
        assert!(!enters(&g, "/", &[]), "no Host at all");
        assert!(!enters(
            &g,
            "/",
            &[("host", "localhost"), ("host", "evil.example")]
        ));
        assert!(!enters(
            &g,
            "http://evil.example/",
            &[("host", "localhost")]
        ));
    }

    #[test]
    fn a_token_opens_by_query_header_or_cookie() {
        let g = gate(Some("open sesame"));
        assert!(enters(
            &g,
            "/stream.mjpg?token=open%20sesame",
            &[("host", "any.example")]
        ));
        assert!(enters(
            &g,
            "/metrics",
            &[("authorization", "Bearer open sesame")]
        ));
        let cookie = format!("a=b; hanja_token_8080={}", hex("open sesame"));
        assert!(enters(&g, "/", &[("cookie", &cookie)]));
        for (uri, pairs) in [
            ("/", vec![]),
            ("/?token=", vec![]),
            ("/?token=open%20sesam", vec![]),
            ("/?token=open%20sesamee", vec![]),
            ("/", vec![("authorization", "Bearer nope")]),
            ("/", vec![("authorization", "Basic open sesame")]),
            (
                "/",
                vec![("cookie", "hanja_token_8081=6f70656e20736573616d65")],
            ),
        ] {
            let verdict = g.judge(&uri.parse().unwrap(), &headers(&pairs));
            let refused = matches!(verdict, Verdict::Refuse(StatusCode::UNAUTHORIZED, _));
            assert!(refused, "{uri} {pairs:?}: {verdict:?}");
        }
    }

    #[test]
    fn the_page_swaps_the_token_for_a_cookie() {
        let g = gate(Some("abc"));
        let verdict = g.judge(&"/?token=abc".parse().unwrap(), &HeaderMap::new());
        let Verdict::Cookie(cookie) = verdict else {
            panic!("{verdict:?}")
        };
        assert!(cookie.starts_with("hanja_token_8080=616263; "), "{cookie}");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    }

    #[test]
    fn bodies_are_refused() {
        let g = gate(None);
        let host = ("host", "localhost");
        assert!(enters(&g, "/", &[host, ("content-length", "0")]));
        assert!(!enters(&g, "/", &[host, ("content-length", "5")]));
        assert!(!enters(&g, "/", &[host, ("transfer-encoding", "chunked")]));
    }

    #[test]
    fn comparison() {
        assert!(same(b"", b"") && same(b"ab", b"ab"));
        assert!(
            !same(b"ab", b"a") && !same(b"a", b"ab") && !same(b"", b"a") && !same(b"ax", b"ab")
        );
        assert!(
            !same(&[0x9e], b"a"),
            "the filler for missing bytes must not match"
        );
    }
}
