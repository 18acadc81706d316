//! The web app: files that are in the binary, served to a browser that is signed in.
//!
//! The page is one document; the places in it (`/s/...`) are its own, so every path that asks for a page gets that document.
//! Nothing inline runs: scripts, styles and fonts come from the node itself, and the policy allows nothing else. Files under
//! `/assets/` carry a hash of their content in their name and may be kept for ever.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};

/// One file of the app.
#[derive(Debug)]
pub(crate) struct File {
    /// Where it is served.
    path: &'static str,
    kind: &'static str,
    plain: &'static [u8],
    /// The same, gzipped, where that is smaller.
    packed: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/web_assets.rs"));

/// What the app's document may load and do: what comes from this node, and pictures that it made itself.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'none'; \
    base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The document of the app, if the app is in this build.
pub(crate) fn document() -> Option<&'static File> {
    file("/index.html")
}

/// The file at this path.
pub(crate) fn file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

/// Whether whoever asks wants a page to look at, and not data or a part of one.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| coding.trim().split(';').next() == Some("gzip"))
}

impl File {
    /// The answer that carries it.
    pub(crate) fn answer(&'static self, request: &HeaderMap) -> Response {
        let packed = self.packed.filter(|_| takes_gzip(request));
        let mut response = Response::new(Body::from(packed.unwrap_or(self.plain)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding, Cookie"));
        if packed.is_some() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if self.path.starts_with("/assets/") {
            let for_ever = HeaderValue::from_static("private, max-age=31536000, immutable");
            headers.insert(header::CACHE_CONTROL, for_ever);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_browser_gets_it_packed_and_a_plain_client_as_it_is() {
        static FILE: File =
            File { path: "/assets/a.js", kind: "text/javascript", plain: b"plain", packed: Some(b"gz") };
        let packed = FILE.answer(&asking(header::ACCEPT_ENCODING, "br, gzip;q=0.8"));
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        let plain = FILE.answer(&asking(header::ACCEPT_ENCODING, "br"));
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        assert!(plain.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    }

    #[test]
    fn the_policy_runs_nothing_that_stands_in_a_page() {
        assert!(!POLICY.contains("unsafe"));
    }

    #[test]
    fn only_a_browser_that_goes_somewhere_wants_a_page() {
        assert!(wants_page(&asking(header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")));
        assert!(!wants_page(&asking(header::ACCEPT, "*/*")));
        assert!(!wants_page(&HeaderMap::new()));
    }
}
