//! Who may talk to the node.
//!
//! The threat is a page in the user's own browser: it can reach 127.0.0.1, also under a name of its own
//! (DNS rebinding). So `Host` must be one of ours, `Origin` must be ours when it is there, and every
//! request carries a bearer token, or a cookie that a browser got for a one-time link (see `sessions`). The cookie is
//! `HttpOnly` and `SameSite=Strict`, and with it a request that changes something must carry our `Origin`.
//! Secrets are kept as BLAKE3 hashes and compared as such, in constant time.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use axum::http::{HeaderMap, HeaderName, Method, Uri, header};
use covey_types::SecretBytes;
use zeroize::Zeroizing;

use crate::{
    limits::{FAILURE_WINDOW, LINK_LIFETIME, MAX_FAILURES, MAX_OPEN_LINKS, SESSION_LIFETIME},
    problem::Problem,
    sessions::{SessionId, Sessions},
};

/// The bearer token of one run of a node: 32 random bytes in base58. Wiped on drop, never printed.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// A fresh one.
    pub fn generate() -> Self {
        Self(random_text())
    }

    /// The text that goes into `Authorization: Bearer`.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

pub(crate) fn random_text() -> Zeroizing<String> {
    Zeroizing::new(bs58::encode(SecretBytes::<32>::random().expose()).into_string())
}

/// What the server knows about credentials, and what it checks them with.
#[derive(Debug)]
pub(crate) struct Access {
    token: blake3::Hash,
    /// `host:port`, lower case.
    hosts: Vec<String>,
    /// The port, if the user opened it on all addresses of the machine.
    open_port: Option<u16>,
    cookie: String,
    links: Mutex<VecDeque<(blake3::Hash, Instant)>>,
    /// The browsers that are signed in.
    pub(crate) sessions: Sessions,
    failures: Mutex<Failures>,
}

#[derive(Debug)]
struct Failures {
    since: Instant,
    count: u32,
}

/// By what a request proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    Token,
    Browser(SessionId),
}

impl Access {
    pub(crate) fn new(token: &Token, addr: SocketAddr, extra_hosts: &[String], sessions: Sessions) -> Self {
        let port = addr.port();
        let mut hosts: Vec<String> =
            ["127.0.0.1", "localhost", "[::1]"].iter().map(|host| format!("{host}:{port}")).collect();
        if !addr.ip().is_unspecified() {
            hosts.push(addr.to_string());
        }
        hosts.extend(extra_hosts.iter().map(|host| host.to_ascii_lowercase()));
        Self {
            token: hash(token.expose()),
            hosts,
            open_port: addr.ip().is_unspecified().then_some(port),
            // Cookies don't know ports: two nodes on one machine must not overwrite each other's.
            cookie: format!("covey_{port}"),
            links: Mutex::default(),
            sessions,
            failures: Mutex::new(Failures { since: Instant::now(), count: 0 }),
        }
    }

    /// Refuses a request that was addressed to another name or sent by a foreign page.
    pub(crate) fn check_place(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let host = only(headers, &header::HOST)?
            .ok_or_else(|| Problem::foreign("the request has no Host header"))?;
        if !self.is_own_host(host) {
            return Err(Problem::foreign(format!("this node does not answer to the host {host:?}")));
        }
        if let Some(authority) = uri.authority()
            && !self.is_own_host(authority.as_str())
        {
            return Err(Problem::foreign(format!("this node does not answer to the host {authority:?}")));
        }
        match only(headers, &header::ORIGIN)? {
            Some(origin) if !self.is_own_origin(origin) => {
                Err(Problem::foreign(format!("requests of pages from {origin:?} are refused")))
            }
            _ => Ok(()),
        }
    }

    fn is_own_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.hosts.contains(&host) || self.is_open_at(&host)
    }

    /// Whether the API is open at all addresses and this is an address. A page that rebinds its own name can't send this:
    /// its `Host` is a name.
    fn is_open_at(&self, host: &str) -> bool {
        let addr = host.parse::<SocketAddr>();
        addr.is_ok_and(|addr| self.open_port == Some(addr.port()) && !addr.ip().is_unspecified())
    }

    fn is_own_origin(&self, origin: &str) -> bool {
        origin.strip_prefix("http://").is_some_and(|host| self.is_own_host(host))
    }

    /// Checks the credentials of a request.
    pub(crate) fn check_credential(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Credential, Problem> {
        if let Some(given) = only(headers, &header::AUTHORIZATION)? {
            let token = given.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
            return match token {
                Some((_, token)) if hash(token.trim()) == self.token => Ok(Credential::Token),
                _ => Err(self.failed("the token is not this node's")),
            };
        }
        let Some(cookie) = self.cookie(headers) else {
            return Err(Problem::unauthorized(
                "this needs the header \"Authorization: Bearer TOKEN\"; the token stands in the node's api.json",
            ));
        };
        let Some(session) = self.sessions.find(cookie) else {
            // Guessing at sessions is slowed as guessing at the token is. A page whose session has ended asks once.
            return Err(
                self.failed("this browser is not signed in, or not any more; `covey web` prints a link")
            );
        };
        if !method.is_safe() && !headers.contains_key(header::ORIGIN) {
            return Err(Problem::foreign("a change made by a browser must name its Origin"));
        }
        Ok(Credential::Browser(session))
    }

    /// Whether what a request proved itself by is still good: a browser may have been signed out since.
    pub(crate) fn still_holds(&self, credential: Credential) -> bool {
        match credential {
            Credential::Token => true,
            Credential::Browser(session) => self.sessions.is_open(session),
        }
    }

    fn cookie<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.cookie)
            .map(|(_, value)| value)
    }

    /// A code that signs one browser in, once.
    pub(crate) fn new_link_code(&self) -> Zeroizing<String> {
        let code = random_text();
        let mut links = lock(&self.links);
        links.push_back((hash(&code), Instant::now()));
        while links.len() > MAX_OPEN_LINKS {
            links.pop_front();
        }
        code
    }

    /// Takes a code; the answer is the value of the `Set-Cookie` header.
    pub(crate) fn open(&self, code: &str) -> Result<String, Problem> {
        let given = hash(code);
        {
            let mut links = lock(&self.links);
            links.retain(|(_, made)| made.elapsed() < LINK_LIFETIME);
            let Some(at) = links.iter().position(|(code, _)| *code == given) else {
                drop(links);
                return Err(
                    self.failed("this link was used already or is too old; `covey web` prints a new one")
                );
            };
            links.remove(at);
        }
        let (cookie, age_s) = (self.sessions.begin(), SESSION_LIFETIME.as_secs());
        Ok(format!("{}={}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict", self.cookie, *cookie))
    }

    fn failed(&self, detail: &str) -> Problem {
        let mut failures = lock(&self.failures);
        let age = failures.since.elapsed();
        if age >= FAILURE_WINDOW {
            *failures = Failures { since: Instant::now(), count: 0 };
        }
        failures.count = failures.count.saturating_add(1);
        if failures.count > MAX_FAILURES {
            let left = FAILURE_WINDOW.saturating_sub(failures.since.elapsed());
            return Problem::too_many_failures(left.as_secs().max(1));
        }
        Problem::unauthorized(detail)
    }
}

pub(crate) fn hash(text: &str) -> blake3::Hash {
    blake3::hash(text.as_bytes())
}

/// The header's value if it is there once; twice is an attempt to be read in two ways.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Problem::invalid(format!("the header {name} stands there twice")));
    }
    first
        .map(|value| value.to_str().map_err(|_| Problem::invalid(format!("the header {name} is not text"))))
        .transpose()
}

/// A panic elsewhere leaves these plain lists whole, so poison is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use covey_node::WallClock;

    use super::*;

    fn at(addr: impl Into<SocketAddr>) -> (Access, Token) {
        let (token, sessions) = (Token::generate(), Sessions::new(Vec::new(), WallClock::default()));
        (Access::new(&token, addr.into(), &[], sessions), token)
    }

    fn access() -> (Access, Token) {
        at(([127, 0, 0, 1], 7463))
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn place(pairs: &[(&'static str, &str)]) -> Result<(), StatusCode> {
        let (access, _) = access();
        access.check_place(&Uri::from_static("/"), &headers(pairs)).map_err(|problem| problem.status())
    }

    #[test]
    fn only_this_machine_is_a_host() {
        for host in ["127.0.0.1:7463", "localhost:7463", "LOCALHOST:7463", "[::1]:7463"] {
            assert_eq!(place(&[("host", host)]), Ok(()), "{host}");
        }
        for host in ["evil.example:7463", "127.0.0.1", "127.0.0.1:80", "localhost.evil.example:7463", ""] {
            assert_eq!(place(&[("host", host)]), Err(StatusCode::FORBIDDEN), "{host}");
        }
        assert_eq!(place(&[]), Err(StatusCode::FORBIDDEN));
    }

    #[test]
    fn open_to_the_network_it_answers_to_addresses_and_never_to_foreign_names() {
        let (access, _) = at(([0, 0, 0, 0], 7463));
        for host in ["127.0.0.1:7463", "localhost:7463", "192.168.1.5:7463", "[fd00::5]:7463"] {
            assert!(access.is_own_host(host), "{host}");
        }
        for host in ["evil.example:7463", "192.168.1.5:80", "192.168.1.5", "0.0.0.0:7463"] {
            assert!(!access.is_own_host(host), "{host}");
        }
        assert!(access.is_own_origin("http://192.168.1.5:7463"));
        let (usual, _) = self::access();
        assert!(!usual.is_own_host("192.168.1.5:7463"));
    }

    #[test]
    fn only_our_own_pages_are_an_origin() {
        let with = |origin| place(&[("host", "localhost:7463"), ("origin", origin)]);
        assert_eq!(with("http://localhost:7463"), Ok(()));
        for origin in ["null", "https://localhost:7463", "http://evil.example", "http://localhost:7464"] {
            assert_eq!(with(origin), Err(StatusCode::FORBIDDEN), "{origin}");
        }
    }

    #[test]
    fn a_token_opens_and_a_wrong_one_does_not() {
        let (access, token) = access();
        let check = |value: &str| {
            access
                .check_credential(&Method::GET, &headers(&[("authorization", value)]))
                .map_err(|problem| problem.status())
        };
        assert_eq!(check(&format!("Bearer {}", token.expose())), Ok(Credential::Token));
        assert_eq!(check("Bearer wrong"), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(check(token.expose()), Err(StatusCode::UNAUTHORIZED));
    }

    #[test]
    fn guessing_is_slowed_and_the_owner_is_not() {
        let (access, token) = access();
        let check = |value: &str| {
            access
                .check_credential(&Method::GET, &headers(&[("authorization", value)]))
                .map_err(|problem| problem.status())
        };
        for _ in 0..MAX_FAILURES {
            assert_eq!(check("Bearer guess"), Err(StatusCode::UNAUTHORIZED));
        }
        assert_eq!(check("Bearer guess"), Err(StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(check(&format!("Bearer {}", token.expose())), Ok(Credential::Token));
    }

    #[test]
    fn a_link_signs_one_browser_in_once() {
        let (access, _) = access();
        let code = access.new_link_code();
        let cookie = access.open(&code).unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
        assert!(access.open(&code).is_err());

        let pair = cookie.split(';').next().unwrap();
        let mut sent = headers(&[("cookie", &format!("other=1; {pair}"))]);
        let by_cookie = access.check_credential(&Method::GET, &sent).unwrap();
        assert!(matches!(by_cookie, Credential::Browser(_)));
        let refused = access.check_credential(&Method::POST, &sent).unwrap_err();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        sent.insert(header::ORIGIN, "http://localhost:7463".parse().unwrap());
        assert_eq!(access.check_credential(&Method::POST, &sent).unwrap(), by_cookie);
        assert!(access.still_holds(by_cookie));
        access.sessions.end(|_| true);
        assert!(!access.still_holds(by_cookie) && access.check_credential(&Method::GET, &sent).is_err());
    }
}
