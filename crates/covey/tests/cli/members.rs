//! People and devices: who may what, who is put out, and what everybody can read about it afterwards.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use crate::support::{Home, Node, PATIENCE, QUIC, until};
use serde_json::{Value, json};

/// A home with an identity.
fn home(user: &str, device: &str) -> Home {
    let home = Home::new();
    home.ok(&["init", "--name", user, "--device", device]);
    home
}

/// Lets `joiner` into a space of `host`'s.
fn let_in(host: &Home, joiner: &Home, space: &str, role: &str) {
    let link = host.json(&["invite", space, "--role", role])["link"].as_str().unwrap().to_owned();
    joiner.ok(&["join", &link, "--timeout", "20s"]);
}

/// Ada, who owns the garden, and Bob in it. Both nodes run for as long as they are held.
fn garden<'a>(ada: &'a Home, bob: &'a Home, role: &str) -> (Node<'a>, Node<'a>) {
    let nodes = (ada.up_with(&QUIC), bob.up_with(&QUIC));
    ada.ok(&["space", "create", "garden"]);
    let_in(ada, bob, "garden", role);
    nodes
}

fn member<'a>(members: &'a Value, name: &str) -> &'a Value {
    members.as_array().unwrap().iter().find(|member| member["name"] == name).unwrap()
}

/// Waits until somebody has this role for a home, or none.
fn until_role(home: &Home, name: &str, role: Option<&str>) -> Value {
    let role_of = |members: &Value| {
        let found = members.as_array().unwrap().iter().find(|member| member["name"] == name);
        found.map(|member| member["role"].as_str().unwrap().to_owned())
    };
    until(home, &["member", "list", "garden"], |members| role_of(members).as_deref() == role)
}

/// Waits until the other device has all that there is in the garden, and has said so.
fn until_settled(home: &Home) {
    until(home, &["space", "show", "garden"], |space| space["sync"][0]["state"] == "in_sync");
}

fn acts(home: &Home, more: &[&str]) -> Vec<Value> {
    let text = home.ok(&[&["audit", "garden", "--json"], more].concat());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The acts that entries prove: all but what happened to this node's own invitations.
fn proved(home: &Home) -> Vec<Value> {
    acts(home, &[]).into_iter().filter(|act| !act["hash"].is_null()).collect()
}

/// Waits until a home tells of these acts and no others.
fn until_acts(home: &Home, wanted: &[Value]) {
    let started = Instant::now();
    loop {
        let told = proved(home);
        if told == wanted {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "still {told:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn roles_are_given_and_taken_and_hold_on_the_other_device() {
    let (ada, bob) = (home("Ada", "laptop"), home("Bob", "phone"));
    let _nodes = garden(&ada, &bob, "member");

    let members =
        until(&bob, &["member", "list", "garden"], |members| members.as_array().unwrap().len() == 2);
    let status = bob.json(&["status"]);
    let me = member(&members, "Bob");
    let device = &me["devices"][0];
    let shape = json!({
        "user_id": status["node"]["user_id"], "name": "Bob", "role": "member", "you": true,
        "devices": [{
            "peer_id": status["node"]["peer_id"], "name": "phone",
            "fingerprint": status["node"]["fingerprint"], "words": status["node"]["words"], "this": true,
        }],
    });
    assert_eq!(*me, shape);
    assert_eq!(member(&members, "Ada")["you"], false);

    let put = ["record", "put", "garden", "plants", "--id", "bean", "{\"row\":1}"];
    bob.ok(&put);
    let given = ada.json(&["member", "role", "garden", "Bob", "guest"]);
    assert_eq!((&given["name"], &given["role"]), (&json!("Bob"), &json!("guest")));
    until_role(&bob, "Bob", Some("guest"));
    assert!(bob.fails(4, &put).contains("guest"));
    // By the beginning of the id; and asking twice is no error.
    let id = me["user_id"].as_str().unwrap();
    for _ in 0..2 {
        assert_eq!(
            ada.ok(&["member", "role", "garden", &id[..10], "admin"]),
            "Bob is admin in garden now.\n"
        );
    }
    until_role(&bob, "Bob", Some("admin"));
    bob.ok(&put);
    bob.ok(&["invite", "garden"]);
    let text = ada.ok(&["member", "list", "garden"]);
    assert!(text.contains("Bob") && text.contains("admin") && text.contains("phone"), "{text}");

    // An admin is no owner, and makes nobody one.
    assert!(bob.fails(4, &["member", "role", "garden", "Ada", "guest"]).contains("\"Ada\" is owner"));
    assert!(
        bob.fails(4, &["member", "role", "garden", "Bob", "owner"]).contains("nobody makes themself more")
    );
    assert!(bob.fails(4, &["member", "remove", "garden", "Ada", "--yes"]).contains("\"Ada\" is owner"));
    bob.fails(2, &["member", "role", "garden", "Ada", "king"]);
    assert_eq!(device["peer_id"], bob.json(&["device", "list"])[0]["peer_id"]);
}

#[test]
fn somebody_who_was_removed_is_told_so_and_reads_what_they_have() {
    let (ada, bob) = (home("Ada", "laptop"), home("Bob", "phone"));
    let _nodes = garden(&ada, &bob, "member");
    let put = ["record", "put", "garden", "plants", "--id", "bean", "{\"row\":1}"];
    bob.ok(&put);

    let remove = ["member", "remove", "garden", "Bob"];
    let said = ada.fails(2, &remove);
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(ada.json(&["member", "list", "garden"]).as_array().unwrap().len(), 2, "nothing was done");
    // What Ada has not heard of when she removes him is taken back with him.
    until(&ada, &["space", "show", "garden"], |space| space["records"] == 1);
    let removed = ada.json(&[&remove[..], &["--yes"]].concat());
    assert_eq!((&removed["name"], &removed["space"]["name"]), (&json!("Bob"), &json!("garden")));

    until(&bob, &["space", "show", "garden"], |space| space["role"].is_null());
    for args in [
        &put[..],
        &["record", "delete", "garden", "plants", "bean"],
        &["member", "role", "garden", "Ada", "guest"],
        &["member", "remove", "garden", "Ada", "-y"],
        &["space", "rotate-key", "garden"],
        &["space", "history", "garden", "from-joining"],
        &["invite", "garden"],
    ] {
        let said = bob.fails(4, args);
        assert!(said.contains("you are no longer in \"garden\""), "{args:?}: {said}");
    }
    bob.fails(1, &["space", "leave", "garden", "--yes"]);
    assert_eq!(bob.json(&["record", "get", "garden", "plants", "bean"]), json!({"row": 1}));
    let listed = bob.ok(&["space", "list"]);
    assert!(listed.contains("garden: you were removed by Ada") && !listed.contains("refuses"), "{listed}");
    let shown = bob.ok(&["space", "show", "garden"]);
    assert!(shown.contains("removed by Ada"), "{shown}");
    // Of people in a space that one isn't in there are no devices to list.
    assert_eq!(bob.json(&["device", "list"]).as_array().unwrap().len(), 1);
    assert!(ada.fails(1, &[&remove[..], &["--yes"]].concat()).contains("there is no member \"Bob\""));

    let_in(&ada, &bob, "garden", "member");
    until_role(&bob, "Bob", Some("member"));
    bob.ok(&put);
}

#[test]
fn a_guest_changes_nothing_of_others_and_may_leave() {
    let (ada, bob) = (home("Ada", "laptop"), home("Bob", "phone"));
    let _nodes = garden(&ada, &bob, "guest");
    let before = acts(&bob, &[]);
    for args in [
        &["member", "role", "garden", "Ada", "guest"][..],
        &["member", "remove", "garden", "Ada", "--yes"],
        &["space", "rotate-key", "garden"],
        &["space", "history", "garden", "from-joining"],
        &["device", "rename", "laptop", "mine"],
        &["device", "revoke", "laptop", "--yes"],
    ] {
        let said = bob.fails(4, args);
        assert!(said.contains("needs the role admin; yours is guest"), "{args:?}: {said}");
    }
    assert!(bob.fails(4, &["member", "role", "garden", "Bob", "member"]).contains("nobody makes themself"));
    assert_eq!(acts(&bob, &[]), before);

    bob.fails(2, &["space", "leave", "garden"]);
    let left = bob.json(&["space", "leave", "garden", "--yes"]);
    assert_eq!((&left["space"]["name"], &left["name"]), (&json!("garden"), &json!("Bob")));
    let members = until_role(&ada, "Bob", None);
    assert_eq!(members.as_array().unwrap().len(), 1);
}

#[test]
fn the_last_owner_makes_somebody_else_owner_before_they_leave() {
    let (ada, bob) = (home("Ada", "laptop"), home("Bob", "phone"));
    let _nodes = garden(&ada, &bob, "member");
    for args in [
        &["space", "leave", "garden", "--yes"][..],
        &["member", "remove", "garden", "Ada", "--yes"],
        &["member", "role", "garden", "Ada", "member"],
    ] {
        let said = ada.fails(4, args);
        assert!(
            said.contains("you are the last owner of \"garden\"; make somebody else owner first"),
            "{said}"
        );
        assert!(said.contains("hint: covey member role garden USER owner"), "{said}");
    }
    let said = ada.fails(4, &["device", "revoke", "laptop", "--yes"]);
    assert!(said.contains("\"laptop\" is your last device") && said.contains("covey device link"), "{said}");
    ada.ok(&["member", "role", "garden", "Bob", "owner"]);
    assert!(ada.ok(&["space", "leave", "garden", "--yes"]).starts_with("You have left garden."));
    let members = until_role(&bob, "Ada", None);
    assert_eq!(member(&members, "Bob")["role"], "owner");
    // Whoever has nobody to hand over to is told what comes first.
    assert!(bob.fails(4, &["space", "leave", "garden", "-y"]).contains("let somebody in"));
}

#[test]
fn whoever_leaves_while_nobody_is_near_is_out_for_the_others_once_they_meet() {
    let (ada, bob) = (home("Ada", "laptop"), home("Bob", "phone"));
    let (here, there) = garden(&ada, &bob, "member");
    there.stop();
    let alone = bob.up();
    bob.ok(&["space", "leave", "garden", "--yes"]);
    alone.stop();
    let at = here.ready["listen"][0].as_str().unwrap().to_owned();
    let _there = bob.up_with(&[&QUIC[..], &["--bootstrap", &at]].concat());
    until_role(&ada, "Bob", None);
}

#[test]
fn the_audit_shows_the_same_acts_on_all_devices_with_their_proof() {
    let (ada, bob) = (home("Ada", "laptop"), home("Bob", "phone"));
    let (_here, _there) = garden(&ada, &bob, "admin");
    ada.ok(&["member", "role", "garden", "Bob", "member"]);
    ada.ok(&["space", "rotate-key", "garden"]);
    assert_eq!(ada.json(&["space", "history", "garden"])["history"], "full");
    ada.ok(&["space", "history", "garden", "from-joining"]);
    bob.ok(&["device", "rename", "phone", "tablet"]);
    until_settled(&bob);
    until_settled(&ada);
    ada.ok(&["member", "remove", "garden", "Bob", "--yes"]);

    let all = proved(&ada);
    let what: Vec<_> = all.iter().map(|act| act["what"].as_str().unwrap()).collect();
    let expected = [
        "found",
        "add_member",
        "set_role",
        "rotate_key",
        "set_space",
        "rename_device",
        "remove_member",
        "rotate_key",
    ];
    // The clocks of both are that of this machine, but what Bob wrote may lie anywhere after what he knew.
    let (mut sorted, mut wanted) = (what.clone(), expected.to_vec());
    sorted.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(sorted, wanted, "{what:?}");
    for act in &all {
        assert_eq!(act["stands"], true);
        assert!(act["at"].as_str().unwrap().ends_with('Z') && act["hlc"].is_string(), "{act}");
        assert!(act["log"].as_str().unwrap().starts_with(act["who"]["peer_id"].as_str().unwrap()), "{act}");
        assert!(act["hash"].as_str().unwrap().len() > 40 && act["seq"].as_u64() > Some(0), "{act}");
    }
    let find = |kind: &str| all.iter().find(|act| act["what"] == kind).unwrap();
    let joined = find("add_member");
    assert_eq!((&joined["who"]["user"], &joined["whom"]["user"]), (&json!("Ada"), &json!("Bob")));
    assert_eq!((&joined["role"], &joined["devices"]), (&json!("admin"), &json!(["phone"])));
    assert_eq!(joined["text"], "took Bob in as admin, with phone");
    assert_eq!(find("set_space")["history"], "from-joining");
    assert_eq!(
        (&find("rename_device")["who"]["user"], &find("rename_device")["name"]),
        (&json!("Bob"), &json!("tablet"))
    );
    // The removal and the new key are two parts of one entry.
    let removal = find("remove_member");
    let key = all.iter().find(|act| act["what"] == "rotate_key" && act["hash"] == removal["hash"]).unwrap();
    assert_eq!((&removal["part"], &key["part"]), (&json!(0), &json!(1)));

    // Bob, who is out, still reads all of it, once the last of it is on his disk.
    until_acts(&bob, &all);

    let by_bob = acts(&ada, &["--who", "Bob"]);
    let what: Vec<_> = by_bob.iter().map(|act| act["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["use_code", "rename_device"], "{by_bob:?}");
    assert_eq!(acts(&ada, &["--what", "rotate_key"]).len(), 2);
    let since = removal["at"].as_str().unwrap();
    assert_eq!(acts(&ada, &["--since", since, "--who", "Ada"]).len(), 2);
    assert_eq!(acts(&ada, &["--what", "invite"]).len(), 1);
    assert_eq!(acts(&bob, &["--what", "invite"]), [] as [Value; 0], "only who invites knows of it");
    assert_eq!(acts(&ada, &["--since", "2999-01-01T00:00:00+01:00"]).len(), 0);
    ada.fails(2, &["audit", "garden", "--since", "yesterday"]);
    ada.fails(2, &["audit", "garden", "--what", "party"]);
    ada.fails(1, &["audit", "garden", "--who", "Eve"]);
    let text = ada.ok(&["audit", "garden"]);
    for words in [
        "founded the space garden",
        "made Bob member",
        "renamed their own device to tablet",
        "removed Bob",
        "stands",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn the_audit_tells_what_became_of_invitations_and_that_nothing_proves_it() {
    let (ada, eve) = (home("Ada", "laptop"), home("Eve", "tablet"));
    let here = ada.up_with(&QUIC);
    let at = here.ready["listen"][0].as_str().unwrap().to_owned();
    let _there = eve.up_with(&[&QUIC[..], &["--bootstrap", &at]].concat());
    ada.ok(&["space", "create", "garden"]);

    let made = ada.json(&["invite", "garden", "--role", "guest"]);
    let (id, code) = (made["id"].as_str().unwrap(), made["code"].as_str().unwrap());
    assert_eq!(code[6..10], *id);
    assert!(ada.ok(&["invite", "garden", "--withdraw", code]).contains("is withdrawn"));
    let again = ada.json(&["invite", "garden", "--withdraw", &id.to_lowercase()]);
    assert_eq!(again, json!({"id": id, "state": "withdrawn"}));
    ada.fails(1, &["invite", "garden", "--withdraw", "0000"]);
    ada.fails(2, &["invite", "garden", "--withdraw", code, "--role", "guest"]);
    let link = ada.json(&["device", "link"]);
    let linked = ada.json(&["device", "link", "--withdraw", link["code"].as_str().unwrap()]);
    assert_eq!((&linked["id"], &linked["state"]), (&link["id"], &json!("withdrawn")));

    // Somebody guesses, until the code is burnt.
    let made = ada.json(&["invite", "garden"]);
    let code = made["code"].as_str().unwrap();
    let wrong = format!("{}{}", &code[..14], if code.ends_with('7') { '8' } else { '7' });
    for _ in 0..3 {
        eve.fails(1, &["join", &wrong, "--timeout", "20s"]);
    }
    eve.fails(1, &["join", code, "--timeout", "20s"]);
    ada.json(&["invite", "garden", "--expires", "1s"]);
    let started = Instant::now();
    while acts(&ada, &["--what", "expire_code"]).is_empty() {
        assert!(started.elapsed() < PATIENCE, "it never expires");
        std::thread::sleep(Duration::from_millis(50));
    }

    let all = acts(&ada, &[]);
    let what: Vec<_> = all.iter().map(|act| act["what"].as_str().unwrap()).collect();
    let guesses = ["wrong_code"; 3];
    let expected = [
        &["found", "invite", "withdraw_invite", "invite"][..],
        &guesses,
        &["burn_code", "invite", "expire_code"],
    ];
    assert_eq!(what, expected.concat());
    for act in &all[1..] {
        let proof = [&act["log"], &act["seq"], &act["hash"]];
        assert_eq!(proof, [&Value::Null; 3], "{act}");
        assert!(act["at"].is_string() && act["part"].is_u64() && act["invite"].is_string(), "{act}");
    }
    assert_eq!((&all[1]["role"], &all[1]["who"]["user"]), (&json!("guest"), &json!("Ada")));
    let guesser = eve.json(&["status"])["node"]["peer_id"].clone();
    assert_eq!((&all[4]["who"]["peer_id"], &all[4]["invite"]), (&guesser, &made["id"]));
    assert_eq!(acts(&ada, &["--what", "wrong_code"]).len(), 3);
    assert_eq!(acts(&ada, &["--who", "Ada"]).len(), 6);
    let text = ada.ok(&["audit", "garden"]);
    let end = &guesser.as_str().unwrap()[44..];
    for words in
        ["withdrew the invitation", "gave a wrong code for the invitation", "is burnt", "nobody used it", end]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let links = ada.ok(&["audit", "personal", "--what", "withdraw_invite", "--json"]);
    assert_eq!(links.lines().count(), 1, "{links}");
}

#[test]
fn who_was_taken_in_while_the_key_changed_is_given_it_and_the_audit_tells_by_whom() {
    let (ada, bob, eve) = (home("Ada", "laptop"), home("Bob", "phone"), home("Eve", "tablet"));
    let (here, there) = garden(&ada, &bob, "admin");
    until_role(&bob, "Bob", Some("admin"));
    here.stop();
    there.stop();
    let alone = ada.up();
    ada.ok(&["space", "rotate-key", "garden"]);
    alone.stop();
    // Bob doesn't know of the new key, and lets Eve in with the old one.
    let there = bob.up_with(&QUIC);
    let at = there.ready["listen"][0].as_str().unwrap().to_owned();
    let _eves = eve.up_with(&QUIC);
    let_in(&bob, &eve, "garden", "member");

    let _here = ada.up_with(&[&QUIC[..], &["--bootstrap", &at]].concat());
    let started = Instant::now();
    let shared = loop {
        let shared = acts(&eve, &["--what", "share_key"]);
        if !shared.is_empty() {
            break shared;
        }
        assert!(started.elapsed() < PATIENCE, "{:?}", acts(&eve, &[]));
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(["Ada", "Bob"].contains(&shared[0]["who"]["user"].as_str().unwrap()), "{shared:?}");
    assert!(shared[0]["hash"].is_string() && shared[0]["seq"].as_u64() > Some(0), "{shared:?}");
    assert!(eve.ok(&["audit", "garden"]).contains("passed the key on to 1 device"));
    ada.ok(&["record", "put", "garden", "plants", "--id", "under-the-new-key", "{}"]);
    let started = Instant::now();
    while !eve.run(&["record", "get", "garden", "plants", "under-the-new-key"]).status.success() {
        assert!(started.elapsed() < PATIENCE, "Eve can't read it");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_act_that_fell_is_shown_as_such() {
    let (ada, bob) = (home("Ada", "laptop"), home("Bob", "phone"));
    let (here, there) = garden(&ada, &bob, "admin");
    until_role(&bob, "Bob", Some("admin"));
    here.stop();
    there.stop();
    // Neither knows of what the other does.
    let alone = ada.up();
    ada.ok(&["member", "role", "garden", "Bob", "guest"]);
    alone.stop();
    let alone = bob.up();
    bob.ok(&["space", "history", "garden", "from-joining"]);
    alone.stop();

    let here = ada.up_with(&QUIC);
    let at = here.ready["listen"][0].as_str().unwrap().to_owned();
    let _there = bob.up_with(&[&QUIC[..], &["--bootstrap", &at]].concat());
    let in_sync =
        |space: &Value| space["sync"][0]["state"] == "in_sync" && space["sync"][0]["missing_here"] == 0;
    for home in [&ada, &bob] {
        until(home, &["space", "show", "garden"], in_sync);
        let fell: Vec<Value> = acts(home, &[]).into_iter().filter(|act| act["stands"] == false).collect();
        assert_eq!(fell.len(), 1, "{fell:?}");
        assert_eq!((&fell[0]["what"], &fell[0]["who"]["user"]), (&json!("set_space"), &json!("Bob")));
        assert!(home.ok(&["audit", "garden", "--who", "Bob"]).contains("fell"));
        assert_eq!(home.json(&["space", "history", "garden"])["history"], "full");
    }
}

#[test]
fn a_device_is_renamed_and_revoked_where_that_is_allowed_and_it_is_said_where_not() {
    let (ada, bob) = (home("Ada", "laptop"), home("Bob", "phone"));
    let (_here, there) = garden(&ada, &bob, "member");
    bob.ok(&["space", "create", "shed"]);
    let_in(&bob, &ada, "shed", "member");

    let two = |devices: &Value| {
        devices.as_array().is_some_and(|devices| devices.len() == 2 && devices[1]["state"] == "connected")
    };
    let devices = until(&ada, &["device", "list"], two);
    assert_eq!(devices[0]["state"], "here");
    assert_eq!((&devices[0]["this"], &devices[0]["yours"]), (&json!(true), &json!(true)));
    let phone = &devices[1];
    assert_eq!(
        (&phone["name"], &phone["user"], &phone["yours"]),
        (&json!("phone"), &json!("Bob"), &json!(false))
    );
    assert_eq!(phone["fingerprint"].as_str().unwrap().len(), 23);
    let names: Vec<_> = phone["spaces"].as_array().unwrap().iter().map(|space| &space["name"]).collect();
    assert_eq!(names, ["garden", "shed"]);

    let done = ada.json(&["device", "rename", "phone", "tablet"]);
    let line =
        |name: &str| done["spaces"].as_array().unwrap().iter().find(|space| space["name"] == name).unwrap();
    assert_eq!((&line("garden")["done"], &line("garden")["reason"]), (&json!(true), &Value::Null));
    assert_eq!(line("shed")["done"], false);
    assert!(line("shed")["reason"].as_str().unwrap().contains("needs the role admin"), "{done}");
    // By either of its names.
    assert_eq!(ada.fails(2, &["device", "rename", "tablet", " "]).matches("can't be the name").count(), 1);
    assert!(ada.ok(&["device", "rename", "phone", "tablet"]).contains("Not in shed"));

    let id = phone["peer_id"].as_str().unwrap();
    let end = format!("..{}", &id[id.len() - 8..]);
    ada.fails(2, &["device", "revoke", &end]);
    until_settled(&ada);
    let revoke = ada.run(&["device", "revoke", &end, "--yes", "--json"]);
    assert_eq!(revoke.status.code(), Some(4), "it is still in the shed");
    let done: Value = serde_json::from_slice(&revoke.stdout).unwrap();
    assert_eq!((&done["spaces"][0]["done"], &done["spaces"][1]["done"]), (&json!(true), &json!(false)));
    until(&bob, &["space", "show", "garden"], |space| space["role"].is_null());
    assert!(bob.fails(4, &["record", "put", "garden", "plants", "{}"]).contains("no longer in"));
    bob.ok(&["record", "put", "shed", "tools", "{}"]);
    assert!(ada.fails(1, &["device", "revoke", "watch", "--yes"]).contains("there is no device"));

    assert_eq!(there.stop().code(), Some(0));
    let gone = until(&ada, &["device", "list"], |devices| devices[1]["state"] != "connected");
    assert!(gone[1]["last_seen"].is_string(), "{gone}");
    assert!(ada.ok(&["device", "list"]).contains("seen"));
}

#[test]
fn of_two_people_of_one_name_the_id_says_who_is_meant() {
    let (ada, bob, other) = (home("Ada", "laptop"), home("Bob", "phone"), home("Bob", "desk"));
    let _nodes = garden(&ada, &bob, "member");
    let _third = other.up_with(&QUIC);
    let_in(&ada, &other, "garden", "member");
    let said = ada.fails(1, &["member", "remove", "garden", "Bob", "--yes"]);
    let members = ada.json(&["member", "list", "garden"]);
    let bobs: Vec<_> = members.as_array().unwrap().iter().filter(|member| member["name"] == "Bob").collect();
    assert_eq!(bobs.len(), 2);
    for one in &bobs {
        assert!(said.contains(one["user_id"].as_str().unwrap()), "{said}");
    }
    let id = bobs[0]["user_id"].as_str().unwrap();
    assert_eq!(ada.json(&["member", "remove", "garden", id, "--yes"])["user_id"], *id);
    let said = ada.fails(1, &["member", "role", "garden", "Cem", "guest"]);
    assert!(
        said.contains("there is no member \"Cem\" in \"garden\"")
            && said.contains("covey member list garden"),
        "{said}"
    );
    assert!(ada.fails(1, &["member", "list", "shed"]).contains("space list"));
}

#[test]
fn a_yes_that_is_asked_for_is_asked_for_before_a_node_is_looked_for() {
    let home = Home::new();
    for args in [&["space", "leave", "x"][..], &["member", "remove", "x", "y"], &["device", "revoke", "x"]] {
        let output = home.command(args).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        home.fails(3, &[args, &["--yes"]].concat());
    }
}
