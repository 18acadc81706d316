//! What people and programs type, paste and upload.

use covey_pair::{Code, Link, Purpose};

use super::{Seeds, named};
use crate::people::{ACTORS, LOGS, SPACE};

const FILTERS: &[&str] = &[
    "height > 1.5",
    "name = \"bean\" and not (sown = null or rows >= 3)",
    "{\"name\":\"bean\",\"height\":{\"gt\":1}}",
    "name ~ \"be\"\n{\"name\":\"bean\"}",
    "a.b = 1",
];

const VALUES: &[&str] = &[
    "null",
    " { \"a\" : [ 1 , -2.50e+3, true ] , \"\\u00e9\" : \"\\ud83c\\udf31\" } ",
    "\"tall\\n\"",
    "123456789012345678901234567890",
    "[[[[[]]]]]",
];

const LINES: &[&str] = &[
    "{\"id\":\"bean\",\"doc\":{\"name\":\"Fire bean\"}}\n{\"id\":\"pea\",\"doc\":{}}\n",
    "{\"name\":\"bean\",\"rows\":3}\r\n\n{\"name\":7}\n",
    "{\"id\":\"x\",\"name\":\"y\",\"doc\":{}}",
];

const TABLES: &[&str] = &[
    "name,rows,done,zip\nbean,3,true,007\n\"pea, \"\"green\"\"\",,,x\n",
    "\u{feff}a;b\r\n1,5;2\r\n",
    "a,a,\nx,y,z\n",
    "a\n\"two\nlines\"\n\"never closed",
    "a,b\n1,2\n3\n",
    "n\n-1.5e3\n1e999\n12345678901234567890\nNaN\nnull\n",
    "\"\"\"\",\u{1f331}\n\\,\"\t\"\n\n\n1,2",
];

const REQUESTS: &[&str] = &[
    "{\"name\":\"garden\"}",
    "{\"role\":\"guest\",\"expires_s\":60}",
    "{\"code\":\"COVEY-7K2M-9QXZ\",\"timeout_s\":5}",
    "{\"id\":\"bean\",\"doc\":{\"a\":[1,2]}}",
    "{\"role\":\"owner\"}",
    "{\"history\":\"from-joining\"}",
    "{\"file\":\"/tmp/b\",\"passphrase\":\"correct horse\"}",
    "{\"sql\":\"SELECT id, doc FROM records WHERE collection = ?1\",\"values\":[\"plants\",1,null,2.5],\"limit\":10}",
    "{\"name\":\"harvest\",\"topic\":\"beans\",\"private\":true}",
    "{\"topic\":\"\",\"archived\":true}",
    "{\"text\":\"hello @bob \u{1f331}\",\"reply_to\":\"0193\",\"client_id\":\"c1\"}",
    "{\"users\":[\"2NEpo7TZRRrLZSi2U2prKuEvuwqrqY4GJ1WcdE9Ee6kz\"]}",
    "{\"user\":\"2NEpo7TZRRrLZSi2U2prKuEvuwqrqY4GJ1WcdE9Ee6kz\",\"role\":\"member\"}",
    "{\"state\":\"away\"}",
    "{\"upto\":\"0193\"}",
    "{\"ids\":[\"bean\",\"leek\"]}",
];

pub(super) fn of(target: &str) -> Seeds {
    match target {
        "filter" => numbered(FILTERS),
        "json_value" => numbered(VALUES),
        // Behind the two bytes that say how the lines come.
        "import_lines" => {
            let with = |how: u8| {
                move |(name, bytes): (String, Vec<u8>)| {
                    (format!("{name}-{how}"), [vec![how, 9], bytes].concat())
                }
            };
            numbered(LINES).into_iter().map(with(0)).chain(numbered(LINES).into_iter().map(with(1))).collect()
        }
        // Behind the byte that says in which pieces it is read.
        "csv_rows" => {
            let of = |(name, bytes): (String, Vec<u8>)| (name, [vec![2], bytes].concat());
            numbered(TABLES).into_iter().map(of).collect()
        }
        "api_requests" => numbered(REQUESTS),
        "invitation_link" => links(),
        "ids_and_codes" => ids(),
        _ => Vec::new(),
    }
}

fn numbered(texts: &[&str]) -> Seeds {
    texts.iter().enumerate().map(|(n, text)| named(&n.to_string(), *text)).collect()
}

fn links() -> Seeds {
    let link = |addresses: &[&str], name: &str| Link {
        purpose: Purpose::Space,
        code: "COVEY-10AB-0V1Z".parse().expect("a code"),
        inviter: ACTORS[0].id(),
        addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
        expires_at_ms: 1_700_000_000_000,
        space_name: name.into(),
    };
    vec![
        named("short", link(&[], "").to_string()),
        named("device", Link { purpose: Purpose::Device, ..link(&[], "Ada") }.to_string()),
        named(
            "long",
            link(&["/ip4/192.168.1.20/udp/4001/quic-v1", "/ip6/fe80::1/tcp/4001"], "Küche").to_string(),
        ),
    ]
}

fn ids() -> Seeds {
    vec![
        named("device", ACTORS[0].id().to_string()),
        named("user", ACTORS[0].user_id().to_string()),
        named("space", SPACE.to_string()),
        named("entry", LOGS[0][0].hash.to_string()),
        named("epoch", crate::people::epoch(0).id().to_string()),
        named("code", Code::generate().to_string()),
        named("sloppy-code", "covey 10ab 0v1z"),
    ]
}
