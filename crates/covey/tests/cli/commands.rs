//! The command line against a real node in another process: what it prints, and how it ends.

use std::{fs, io::Write, net::TcpListener, process::Stdio};

use crate::support::{Home, Lines, Node, QUIC, api_file, bare, finish, lines_of, output, stderr, wait};
use serde_json::{Value, json};

#[test]
fn init_makes_an_identity_that_up_then_has() {
    let home = Home::new();
    let made = home.json(&["init", "--name", "Ada", "--device", "laptop"]);
    assert_eq!((&made["user"], &made["device"]), (&json!("Ada"), &json!("laptop")));
    assert_eq!(made["fingerprint"].as_str().unwrap().len(), 23);

    assert!(home.fails(1, &["init"]).contains("already"));
    let node = home.up();
    assert_eq!(node.ready["peer_id"], made["peer_id"]);
    let status = home.json(&["status"]);
    assert_eq!(status["node"]["peer_id"], made["peer_id"]);
    assert_eq!(status["network"]["mode"], "solo");
}

#[test]
fn up_says_it_is_ready_once_and_stops_cleanly() {
    let home = Home::new();
    let mut node = home.up();
    let file = api_file(&home.path());
    assert_eq!(file["api"], node.ready["api"]);
    assert_eq!(file["pid"], node.child.id());
    node.signal("TERM");
    assert_eq!(wait(&mut node.child).code(), Some(0));
    assert_eq!(node.lines.rest(), Vec::<String>::new());
    assert!(!home.path().join("api.json").exists());
    assert!(home.fails(3, &["status"]).contains("covey --home"));
}

#[test]
fn an_interrupt_stops_a_node_cleanly_too() {
    let home = Home::new();
    let mut node = home.up();
    node.signal("INT");
    assert_eq!(wait(&mut node.child).code(), Some(0));
}

#[cfg(unix)]
#[test]
fn the_token_is_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let _node = home.up();
    let mode = fs::metadata(home.path().join("api.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn without_a_node_commands_say_how_to_start_one() {
    let home = Home::new();
    for args in [&["status"][..], &["space", "list"], &["record", "get", "s", "c", "i"], &["join", "X"]] {
        let said = home.fails(3, args);
        assert!(said.contains("covey --home") && said.contains(" up"), "{said}");
    }
    // A node that died leaves its file behind.
    fs::create_dir_all(home.path()).unwrap();
    fs::write(home.path().join("api.json"), r#"{"api":"http://127.0.0.1:9","token":"t","pid":4194305}"#)
        .unwrap();
    assert!(home.fails(3, &["status"]).contains("is gone"));
    let alive = std::process::id();
    fs::write(
        home.path().join("api.json"),
        format!(r#"{{"api":"http://127.0.0.1:9","token":"t","pid":{alive}}}"#),
    )
    .unwrap();
    assert!(home.fails(3, &["status"]).contains("nothing answers"));
}

#[test]
fn a_home_that_can_not_be_looked_into_is_not_called_one_without_a_node() {
    let home = Home::new();
    // Works for root too, who may read every file.
    fs::create_dir_all(home.path().join("api.json")).unwrap();
    let said = home.fails(1, &["status"]);
    assert!(said.contains("can't be read") && !said.contains("no node is running"), "{said}");
}

#[test]
fn a_port_that_is_taken_is_an_error_with_a_next_step_and_makes_nothing() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = format!("/ip4/127.0.0.1/udp/{}/quic-v1", taken.local_addr().unwrap().port());
    let home = Home::new();
    let args = ["up", "--api", "127.0.0.1:0", "--listen", &listen];
    let said = home.fails(1, &args);
    assert!(said.contains(&listen) && said.contains("--listen"), "{said}");
    assert!(!home.path().exists(), "no identity is left behind");
    home.ok(&["init"]);
    let said = home.fails(1, &args);
    assert!(said.contains(&listen) && said.contains("hint:"), "{said}");
}

#[test]
fn names_for_a_home_that_has_some_are_said_to_change_nothing() {
    let home = Home::new();
    home.ok(&["init", "--name", "Ada", "--device", "laptop"]);
    let source = |home: &Home, key| home.json(&["config", "get", key]);
    assert_eq!(source(&home, "name"), json!({"key": "name", "value": "Ada", "source": "identity"}));
    let mut up = home.command(&["up", "--network", "solo", "--api", "127.0.0.1:0", "--name", "Eve"]);
    let mut child = up.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ready = Lines::new(child.stdout.take().unwrap()).next();
    assert!(ready.contains("running"), "{ready}");
    assert_eq!(source(&home, "device")["value"], "laptop");
    assert_eq!(source(&home, "name")["source"], "identity");
    std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    let said = stderr(&finish(child));
    assert!(said.contains("--name changes nothing") && said.contains("Ada"), "{said}");
    assert!(!said.contains("--device"), "{said}");
}

#[test]
fn an_api_that_is_open_to_the_network_prints_links_that_work_here() {
    let home = Home::new();
    let mut up = home.command(&["up", "--json", "--network", "solo", "--api", "0.0.0.0:0"]);
    let mut child = up.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = Lines::new(child.stdout.take().unwrap());
    let node = Node { home: &home, child, ready: lines.next_json(), lines };
    let web = node.ready["web"].as_str().unwrap();
    assert!(web.starts_with(&format!("http://{}/open?code=", node.address())), "{web}");
    let path = web.strip_prefix(&format!("http://{}", node.address())).unwrap();
    let opened = node.raw(&format!("GET {path} HTTP/1.1\nHost: {}\nConnection: close", node.address()), b"");
    assert!(opened.status() < 400, "{}", opened.0);
}

#[test]
fn a_second_node_on_the_same_home_is_refused_and_harms_nothing() {
    let home = Home::new();
    let node = home.up();
    let said = home.fails(1, &["up", "--api", "127.0.0.1:0", "--network", "solo"]);
    assert!(said.contains("in use"), "{said}");
    assert_eq!(api_file(&home.path())["pid"], node.child.id());
    home.json(&["status"]);
}

#[test]
fn a_chosen_port_that_is_taken_is_an_error_and_makes_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let home = Home::new();
    let said = home.fails(1, &["up", "--network", "solo", "--api", &addr]);
    assert!(said.contains(&addr) && said.contains("--api"), "{said}");
    assert!(!home.path().exists());
}

#[test]
fn wrong_usage_exits_with_two() {
    let home = Home::new();
    home.fails(2, &["no-such-command"]);
    home.fails(2, &["invite", "garden", "--expires", "soon"]);
    home.fails(2, &["up", "--api", "nowhere"]);
    home.fails(2, &["up", "--network", "moon"]);
    for bad in [
        &["config", "get", "nosuch"][..],
        &["config", "set", "api", "nonsense"],
        &["config", "set", "min_free", "plenty"],
        &["up", "--api", "127.0.0.1:0", "--listen", "garbage"],
        &["up", "--api", "127.0.0.1:0", "--listen", "/garbage"],
    ] {
        home.fails(2, bad);
    }
    assert!(!home.path().exists(), "nothing was made");
    let _node = home.up_with(&QUIC);
    home.ok(&["space", "create", "garden"]);
    for bad in [
        &["join", "garbage"][..],
        &["join", ""],
        &["record", "put", "garden", "plants", "{"],
        &["record", "list", "garden", "plants", "--where", "name ="],
    ] {
        home.fails(2, bad);
    }
    let said = home.fails(2, &["record", "export", "s", "c", "--format", "csv", "--json"]);
    assert!(said.contains("csv") && said.contains("--json"), "{said}");
}

#[test]
fn a_home_that_can_not_be_made_is_named() {
    let home = Home::new();
    // Works for root too, to whom every folder is writable.
    let file = home.file("plain", "not a folder");
    let inside = file.join("home");
    let inside = inside.to_str().unwrap();
    for args in [&["init"][..], &["up", "--network", "solo", "--api", "127.0.0.1:0"]] {
        let output = output(bare(args).args(["--home", inside]));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(inside) && said.to_lowercase().contains("not a directory"), "{said}");
        assert!(output.stdout.is_empty());
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "not a folder");
}

#[test]
fn what_others_wrote_can_not_steer_the_terminal() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    let doc = json!({"note\u{9b}2J": "\u{202e}evil\u{7f}\u{1b}]0;x\u{7}", "plain": "é豆"});
    home.ok(&["record", "put", "garden", "plants", "--id", "bean", &doc.to_string()]);
    let is_tame = |text: &str| !text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}');
    for args in [&["get", "garden", "plants", "bean"][..], &["get", "garden", "plants", "bean", "--json"]] {
        let shown = home.ok(&[&["record"], args].concat());
        assert!(is_tame(&shown) && shown.contains("é豆"), "{shown:?}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), doc);
    }
    let shown = home.ok(&["record", "list", "garden", "plants"]);
    assert!(is_tame(&shown), "{shown:?}");
    assert_eq!(serde_json::from_str::<Value>(shown.strip_prefix("bean  ").unwrap()).unwrap(), doc);
    let shown = home.ok(&["record", "list", "garden", "plants", "--json"]);
    assert!(is_tame(&shown), "{shown:?}");
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["doc"], doc);
    for form in [
        &["record", "watch", "garden", "--since", "0"][..],
        &["record", "watch", "garden", "--since", "0", "--json"],
    ] {
        let mut child = home.command(form).stdout(Stdio::piped()).spawn().unwrap();
        let shown = Lines::new(child.stdout.take().unwrap()).next();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_tame(&shown) && shown.contains("\\u202e"), "{shown:?}");
    }
    // In an error the node repeats what it was asked for.
    let said = home.fails(1, &["space", "show", "x\u{9b}2J\u{202e}"]);
    assert!(is_tame(&said), "{said:?}");
}

#[test]
fn a_hint_can_be_typed_as_it_stands() {
    let home = Home::new();
    let _node = home.up();
    let hint = |name: &str| {
        stderr(&output(bare(&["--home"]).arg(home.path()).args(["space", "create", "--", name])))
    };
    assert!(hint("garden").trim_end().ends_with("invite garden"));
    let said = hint("our $garden's shed");
    let typed = said.trim().strip_prefix("Let someone in: covey ").unwrap().to_owned();
    let program = env!("CARGO_BIN_EXE_covey");
    let ran = output(std::process::Command::new("sh").args(["-c", &format!("{program} {typed}")]));
    assert!(ran.status.success(), "{typed}: {}", stderr(&ran));
    assert!(!hint("-x").contains("-x"), "a name like a flag is given by its id");
}

#[test]
fn a_second_space_of_a_name_is_pointed_out_and_either_is_named_by_its_id() {
    let home = Home::new();
    let _node = home.up();
    let first = home.json(&["space", "create", "garden"])["id"].as_str().unwrap().to_owned();
    let made = home.run(&["space", "create", "garden"]);
    let said = stderr(&made);
    let ids = home.json(&["space", "list"]);
    let ids: Vec<_> = ids.as_array().unwrap().iter().map(|space| space["id"].as_str().unwrap()).collect();
    let second = ids.iter().copied().find(|id| *id != first).unwrap();
    assert!(said.contains(&format!("another space is called garden too: {first}")), "{said}");
    assert!(said.trim_end().ends_with(&format!("invite {second}")), "{said}");

    // Whatever needs a space says which ones it could be, and takes what it proposes.
    for args in [
        &["invite", "garden"][..],
        &["space", "show", "garden"],
        &["record", "list", "garden", "plants"],
        &["record", "watch", "garden"],
    ] {
        let said = home.fails(1, args);
        assert!(ids.iter().all(|id| said.contains(id)) && said.contains("by its id"), "{said}");
    }
    home.ok(&["invite", &second[..10]]);
}

#[test]
fn what_is_proposed_next_fits_what_is_there() {
    let home = Home::new();
    let proposed = || {
        let args = ["up", "--network", "solo", "--api", "127.0.0.1:0"];
        let mut child = home.command(&args).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = Lines::new(child.stdout.take().unwrap());
        while !lines.next().starts_with("Next, ") {}
        let steps: Vec<_> =
            std::iter::repeat_with(|| lines.next()).take_while(|line| !line.is_empty()).collect();
        std::process::Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
        assert!(wait(&mut child).success());
        steps
    };
    let first = proposed();
    assert_eq!(first.len(), 3);
    assert!(first[0].contains("space create") && first[2].contains("join COVEY-"), "{first:?}");

    let node = home.up();
    home.ok(&["space", "create", "our garden"]);
    node.stop();
    let later = proposed();
    assert_eq!(later.len(), 3);
    assert!(later[0].contains(" status ") && later[2].contains(" web "), "{later:?}");
    assert!(later[1].contains("invite 'our garden'"), "{later:?}");
}

#[test]
fn records_go_in_and_come_out() {
    let home = Home::new();
    let _node = home.up();
    let space = home.json(&["space", "create", "garden"]);
    assert_eq!(space["name"], "garden");
    assert_eq!(home.json(&["space", "list"]).as_array().unwrap().len(), 1);

    let put = home.json(&["record", "put", "garden", "plants", "--id", "bean", r#"{"rows":3}"#]);
    assert_eq!(put["id"], "bean");
    assert!(put["hlc"].as_str().unwrap().contains('.'));
    let merged =
        home.with_stdin(&["record", "put", "garden", "plants", "--id", "bean", "-"], br#"{"sown":true}"#);
    assert!(merged.status.success(), "{}", stderr(&merged));
    let document = home.json(&["record", "get", "garden", "plants", "bean"]);
    assert_eq!(document, json!({"rows": 3, "sown": true}));

    let fresh = home.json(&["record", "put", "garden", "plants", r#"{"rows":1}"#]);
    assert_ne!(fresh["id"], "bean");
    assert_eq!(home.ok(&["record", "list", "garden", "plants", "--json"]).lines().count(), 2);
    assert_eq!(home.ok(&["record", "list", "garden", "plants", "--limit", "1", "--json"]).lines().count(), 1);

    home.ok(&["record", "delete", "garden", "plants", "bean"]);
    assert!(home.fails(1, &["record", "get", "garden", "plants", "bean"]).contains("bean"));
    home.fails(1, &["record", "delete", "garden", "plants", "bean"]);
    home.fails(1, &["space", "show", "shed"]);
}

#[test]
fn a_space_is_found_by_a_prefix_of_its_id() {
    let home = Home::new();
    let _node = home.up();
    let id = home.json(&["space", "create", "garden"])["id"].as_str().unwrap().to_owned();
    assert_eq!(home.json(&["space", "show", &id[..10]])["id"], json!(id));
}

#[test]
fn a_condition_selects_records_and_a_bad_one_says_where_it_is_bad() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    home.ok(&["record", "put", "garden", "plants", "--id", "bean", r#"{"row":3}"#]);
    home.ok(&["record", "put", "garden", "plants", "--id", "pea", r#"{"row":1}"#]);
    let found = home.json(&["record", "list", "garden", "plants", "--where", "row >= 2"]);
    assert_eq!(found["id"], "bean");
    let said = home.fails(2, &["record", "list", "garden", "plants", "--where", "row >="]);
    assert!(said.contains("filter"), "{said}");
}

#[test]
fn an_export_is_what_was_imported_sorted_by_id() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    let mut lines: Vec<String> = (0..3000).map(|n| format!(r#"{{"key":"k{n:05}","n":{n}}}"#)).collect();
    lines.reverse();
    let file = home.file("plants.ndjson", lines.join("\n"));
    let done =
        home.json(&["record", "import", "garden", "plants", file.to_str().unwrap(), "--id-field", "key"]);
    assert_eq!(done["records"], 3000);
    assert!(done["entries"].as_u64().unwrap() > 0 && done["seconds"].as_f64().unwrap() > 0.0);

    let exported = home.ok(&["record", "export", "garden", "plants"]);
    let rows: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3000);
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(*row, json!({"id": format!("k{n:05}"), "doc": {"key": format!("k{n:05}"), "n": n}}));
    }
    // What an export writes, an import reads.
    let again = home.with_stdin(&["record", "import", "garden", "copy", "-", "--json"], exported.as_bytes());
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(home.ok(&["record", "export", "garden", "copy"]), exported);
}

#[test]
fn a_bad_line_is_named_and_what_is_before_it_is_kept() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    let file = home.file("plants.ndjson", "{\"n\":1}\n\n{\"n\":2}\n{\"n\":}\n{\"n\":3}\n");
    let said = home.fails(1, &["record", "import", "garden", "plants", file.to_str().unwrap()]);
    assert!(said.contains("line 4") && said.contains("column 6") && said.contains("2 records"), "{said}");
    assert_eq!(home.ok(&["record", "export", "garden", "plants"]).lines().count(), 2);
}

#[test]
fn a_slow_producers_rows_show_up_while_it_goes_on() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    let watch = ["record", "watch", "garden", "--json"];
    let mut import = home.command(&["record", "import", "garden", "log", "-"]);
    let mut import =
        import.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut watching =
        home.command(&[&watch[..], &["--since", "0"]].concat()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = Lines::new(watching.stdout.take().unwrap());
    let mut stdin = import.stdin.take().unwrap();
    for n in 0..3 {
        writeln!(stdin, "{{\"n\":{n}}}").unwrap();
        assert_eq!(lines.next_json()["doc"], json!({ "n": n }));
    }
    drop(stdin);
    assert!(finish(import).status.success());
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn csv_goes_in_and_comes_out() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    let file = home.file("plants.csv", "name,rows,sown\nbean,3,true\n\"pea, green\",,false\n");
    let args = ["record", "import", "garden", "plants", file.to_str().unwrap(), "--id-field", "name"];
    assert_eq!(home.json(&args)["records"], 2);
    let document = home.json(&["record", "get", "garden", "plants", "pea, green"]);
    assert_eq!(document, json!({"name": "pea, green", "sown": false}));
    let csv = home.ok(&["record", "export", "garden", "plants", "--format", "csv"]);
    assert_eq!(csv, "id,name,rows,sown\nbean,bean,3,true\n\"pea, green\",\"pea, green\",,false\n");

    let file = home.file("bad.csv", "name,rows\nleek,1\nonion\n");
    let args = ["record", "import", "garden", "plants", file.to_str().unwrap(), "--id-field", "name"];
    let said = home.fails(1, &args);
    assert!(said.contains("line: 3") && said.contains("1 record before"), "{said}");
}

#[test]
fn a_watch_tells_changes_as_they_happen_and_resumes() {
    let home = Home::new();
    let node = home.up();
    home.ok(&["space", "create", "garden"]);
    home.ok(&["record", "put", "garden", "plants", "--id", "bean", r#"{"row":1}"#]);
    let args = ["record", "watch", "garden", "plants", "--since", "0", "--json"];
    let mut child = home.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = Lines::new(child.stdout.take().unwrap());
    let first = lines.next_json();
    assert_eq!(
        (&first["id"], &first["kind"], &first["doc"]),
        (&json!("bean"), &json!("put"), &json!({"row": 1}))
    );

    home.ok(&["record", "put", "garden", "tools", r#"{"name":"spade"}"#]);
    home.ok(&["record", "delete", "garden", "plants", "bean"]);
    let second = lines.next_json();
    assert_eq!((&second["id"], &second["kind"]), (&json!("bean"), &json!("delete")));
    assert!(second["position"].as_u64() > first["position"].as_u64());

    // When the node stops, the watch ends and says where to go on.
    assert_eq!(node.stop().code(), Some(0));
    let output = finish(child);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("--since {}", second["position"])), "{}", stderr(&output));
}

#[test]
fn an_interrupted_command_exits_with_130() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    home.ok(&["record", "put", "garden", "plants", r#"{"row":1}"#]);
    let args = ["record", "watch", "garden", "--since", "0"];
    let mut child = home.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    Lines::new(child.stdout.take().unwrap()).next();
    std::process::Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    assert_eq!(wait(&mut child).code(), Some(130));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    let rows = lines_of(0..20_000, |n| format!("{{\"n\":{n}}}"));
    let file = home.file("rows.ndjson", rows);
    home.ok(&["record", "import", "garden", "rows", file.to_str().unwrap()]);
    let mut command = home.command(&["record", "export", "garden", "rows"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = finish(child);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn malformed_documents_say_where() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    let said = home.fails(2, &["record", "put", "garden", "plants", r#"{"row":}"#]);
    assert!(said.contains("line 1 column 8"), "{said}");
    home.fails(2, &["record", "put", "garden", "plants", "[1]"]);
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(50 << 20));
    let refused = home.with_stdin(&["record", "put", "garden", "plants", "-"], large.as_bytes());
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("longer than the limit"), "{}", stderr(&refused));
}

#[test]
fn an_invitation_has_a_code_a_link_and_an_end() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    let invite = home.json(&["invite", "garden", "--role", "guest", "--expires", "5m"]);
    assert!(invite["code"].as_str().unwrap().starts_with("COVEY-"));
    assert!(invite["link"].as_str().unwrap().starts_with("covey://join/"));
    assert!(invite["expires_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(invite["role"], "guest");
    let text = home.ok(&["invite", "garden"]);
    assert!(text.contains("for 15 minutes, until "), "{text}");
    home.fails(2, &["join", "nothing like a code"]);
}

#[test]
fn every_setting_tells_where_it_is_from() {
    let home = Home::new();
    let source = |list: &Value, key: &str| {
        let found = list.as_array().unwrap().iter().find(|setting| setting["key"] == key).unwrap().clone();
        (found["value"].clone(), found["source"].as_str().unwrap().to_owned())
    };
    let list = home.json(&["config", "list"]);
    assert_eq!(source(&list, "network"), (json!("lan"), "default".into()));
    assert_eq!(source(&list, "home").1, "flag --home");

    home.ok(&["config", "set", "network", "solo"]);
    home.ok(&["config", "set", "listen", "/ip4/127.0.0.1/udp/0/quic-v1,/ip4/127.0.0.1/tcp/0"]);
    let list = home.json(&["config", "list"]);
    assert_eq!(source(&list, "network").0, json!("solo"));
    assert!(source(&list, "network").1.starts_with("file "));
    assert_eq!(source(&list, "listen").0, json!(["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"]));

    let mut command = home.command(&["config", "get", "network", "--json"]);
    let output = output(command.env("COVEY_NETWORK", "wan"));
    let setting: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(setting, json!({"key": "network", "value": "wan", "source": "environment COVEY_NETWORK"}));
}

#[test]
fn a_config_file_keeps_its_comments_and_refuses_nonsense() {
    let home = Home::new();
    fs::create_dir_all(home.path()).unwrap();
    let path = home.path().join("config.toml");
    fs::write(&path, "# ours\nnetwork = \"lan\" # for now\n").unwrap();
    home.ok(&["config", "set", "network", "solo"]);
    home.ok(&["config", "set", "log", "info"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "# ours\nnetwork = \"solo\" # for now\nlog = \"info\"\n");

    assert!(home.fails(2, &["config", "set", "network", "moon"]).contains("solo, lan, wan"));
    assert!(home.fails(2, &["config", "set", "colour", "red"]).contains("bootstrap"));
    fs::write(&path, "netwrk = \"lan\"\n").unwrap();
    assert!(home.fails(1, &["config", "list"]).contains("netwrk"));
    assert!(home.fails(1, &["up"]).contains("netwrk"));
}

#[test]
fn the_doctor_looks_also_without_a_node() {
    let home = Home::new();
    let output = home.run(&["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let node = found["checks"].as_array().unwrap().iter().find(|check| check["name"] == "node").unwrap();
    assert_eq!((&found["ok"], &node["ok"]), (&json!(false), &json!(false)));
    assert!(node["remedy"].as_str().unwrap().contains("up"));

    let _node = home.up();
    let output = home.run(&["doctor", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = found["checks"].as_array().unwrap();
    for name in ["config", "home", "token", "node"] {
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        assert_eq!(check["ok"], true, "{check}");
    }
    assert!(checks.len() > 5, "the node's own checks are there: {found}");
    let all_well = checks.iter().all(|check| check["ok"] == true);
    assert_eq!(output.status.code(), Some(i32::from(!all_well)));
}

#[test]
fn a_passphrase_comes_from_a_file_and_a_wrong_one_opens_nothing() {
    let home = Home::new();
    let right = home.file("right", "correct horse\n");
    let wrong = home.file("wrong", "battery staple\n");
    home.ok(&["init", "--passphrase-file", right.to_str().unwrap()]);
    let up = ["up", "--network", "solo", "--api", "127.0.0.1:0", "--passphrase-file"];
    home.fails(1, &[&up[..], &[wrong.to_str().unwrap()]].concat());
    assert!(home.fails(1, &up[..5]).contains("--passphrase-file"));
    let node = home.up_with(&["--network", "solo", "--passphrase-file", right.to_str().unwrap()]);
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn completions_and_versions_need_no_home() {
    for shell in ["bash", "zsh", "fish"] {
        let output = output(bare(&["completions", shell]).env_remove("HOME"));
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("covey"));
    }
    let made = output(&mut bare(&["completions", "fish", "--json"]));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let script = String::from_utf8(output(&mut bare(&["completions", "fish"])).stdout).unwrap();
    assert_eq!(made, json!({"shell": "fish", "script": script}));
    let output = output(&mut bare(&["version", "--json"]));
    let version: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}
