//! Who gets in, and with what: real HTTP against Host, Origin, credentials and bodies.
#![allow(clippy::unwrap_used, reason = "a test stops where it stands")]

mod common;

use common::Served;

#[tokio::test]
async fn guesses_at_the_token_are_slowed_and_the_owner_is_not() {
    let served = Served::new().await;
    for _ in 0..covey_api::limits::MAX_FAILURES {
        served.send("guess", "GET", "status", "").await.problem(401, "unauthorized");
    }
    let slowed = served.send("guess", "GET", "status", "").await;
    slowed.problem(429, "too-many-failures");
    let seconds: u64 = slowed.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(served.ask("GET", "status", "").await.status, 200);
    served.stop().await;
}

#[tokio::test]
async fn guesses_at_a_session_are_slowed_and_whoever_is_signed_in_is_not() {
    let served = Served::new().await;
    let link = served.server.web_link();
    let opened = served.request("GET", link.strip_prefix(&served.server.url()).unwrap(), &[], "").await;
    let cookie = opened.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let name = cookie.split('=').next().unwrap();
    let status =
        async |cookie: &str| served.request("GET", "/api/v1/status", &[("Cookie", cookie)], "").await;
    for n in 0..covey_api::limits::MAX_FAILURES {
        status(&format!("{name}=guess{n}")).await.problem(401, "unauthorized");
    }
    let slowed = status(&format!("{name}=guess")).await;
    slowed.problem(429, "too-many-failures");
    assert!(slowed.header("retry-after").is_some());
    assert_eq!(status(&cookie).await.status, 200);
    assert_eq!(served.ask("GET", "status", "").await.status, 200);
    // Without any credentials nothing is guessed.
    served.request("GET", "/api/v1/status", &[], "").await.problem(401, "unauthorized");
    served.stop().await;
}

#[tokio::test]
async fn a_browser_changes_something_only_from_our_own_page() {
    let served = Served::new().await;
    let link = served.server.web_link();
    let path = link.strip_prefix(&served.server.url()).unwrap();
    let opened = served.request("GET", path, &[], "").await;
    let cookie = opened.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    served.request("GET", path, &[], "").await;

    let own = format!("http://{}", served.server.addr());
    let make = async |origin: Option<&str>, name: &str| {
        let mut headers = vec![("Cookie", cookie.as_str()), ("Content-Type", "application/json")];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        served.request("POST", "/api/v1/spaces", &headers, &format!("{{\"name\":\"{name}\"}}")).await
    };
    make(None, "a").await.problem(403, "foreign-origin");
    make(Some("http://evil.example"), "b").await.problem(403, "foreign-origin");
    make(Some("null"), "c").await.problem(403, "foreign-origin");
    assert_eq!(make(Some(&own), "d").await.status, 201);
    // To look, a cookie alone is enough; a cookie that we didn't give is not.
    let looked = served.request("GET", "/api/v1/spaces", &[("Cookie", &cookie)], "").await;
    assert_eq!((looked.status, looked.json().as_array().unwrap().len()), (200, 2));
    let name = cookie.split('=').next().unwrap();
    let forged = format!("{name}=forged");
    served.request("GET", "/api/v1/spaces", &[("Cookie", &forged)], "").await.problem(401, "unauthorized");
    served.stop().await;
}

#[tokio::test]
async fn a_name_that_was_bound_anew_is_not_this_host() {
    let served = Served::new().await;
    let port = served.server.addr().port();
    let bearer = served.bearer();
    for host in
        [format!("evil.example:{port}"), "127.0.0.1".to_owned(), format!("localhost.evil.example:{port}")]
    {
        let headers = [("Host", host.as_str()), ("Authorization", bearer.as_str())];
        let said = served.request("GET", "/api/v1/status", &headers, "").await.problem(403, "foreign-origin");
        assert!(said.contains(&host), "{said}");
    }
    let twice = [("Host", "127.0.0.1"), ("Host", "evil.example"), ("Authorization", bearer.as_str())];
    assert_eq!(served.request("GET", "/api/v1/status", &twice, "").await.status, 400);
    served.stop().await;
}

#[tokio::test]
async fn every_answer_forbids_to_be_framed_guessed_at_and_kept() {
    let served = Served::new().await;
    for path in ["status", "nothing", "spaces/shed"] {
        let answer = served.ask("GET", path, "").await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("script-src"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    served.stop().await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
    let served = Served::new().await;
    let bearer = served.bearer();
    let length = (covey_api::limits::MAX_BODY_BYTES + 1).to_string();
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
        ("Content-Length", length.as_str()),
        ("Expect", "100-continue"),
    ];
    let mut stream = served.begin("POST", "/api/v1/spaces", &headers).await;
    common::Answer::read(&mut stream).await.problem(413, "too-large");
    served.stop().await;
}

#[tokio::test]
async fn messages_are_read_in_pages_in_both_directions() {
    let served = Served::new().await;
    served.ask("POST", "spaces/garden/channels", r#"{"name":"tea"}"#).await;
    let path = "spaces/garden/channels/tea/messages";
    for n in 0..5 {
        assert_eq!(served.ask("POST", path, &format!("{{\"text\":\"m{n}\"}}")).await.status, 201);
    }
    let page = async |query: &str| {
        let page = served.ask("GET", &format!("{path}?limit=2{query}"), "").await.json();
        let texts =
            page["items"].as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap().to_owned());
        (texts.collect::<Vec<_>>(), page["before"].as_str().map(str::to_owned))
    };
    let (newest, before) = page("").await;
    assert_eq!(newest, ["m3", "m4"]);
    let (older, before) = page(&format!("&before={}", before.unwrap())).await;
    assert_eq!(older, ["m1", "m2"]);
    let (oldest, before) = page(&format!("&before={}", before.unwrap())).await;
    assert_eq!((oldest.as_slice(), before), (["m0".to_owned()].as_slice(), None));
    served.ask("GET", &format!("{path}?before=x"), "").await.problem(400, "invalid");
    served.ask("GET", &format!("{path}?before=a&after=b"), "").await.problem(400, "invalid");
    served.stop().await;
}
