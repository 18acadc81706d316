//! How long a document will be as text, seen from JSONB, SQLite's form of it (<https://sqlite.org/jsonb.html>): some are
//! six times as long.

/// Most bytes of text to a byte of JSONB: `false` and a comma, or a character that has to be written as `\u0001`.
pub(super) const MOST_TEXT: usize = 6;

/// Bytes of the text of a document, at most; `None` if it's no JSONB. Containers need no stack: what is in them follows
/// their headers.
pub(super) fn text_bytes(mut jsonb: &[u8]) -> Option<usize> {
    let mut len = 0_usize;
    while let Some((header, rest)) = jsonb.split_first() {
        let (payload, rest) = match usize::from(header >> 4) {
            size @ 0..=11 => (size, rest),
            size => {
                let (size, rest) = rest.split_at_checked(1 << (size - 12))?;
                let size = size.iter().fold(0_u64, |size, byte| (size << 8) | u64::from(*byte));
                (usize::try_from(size).ok()?, rest)
            }
        };
        let (written, inside) = match header & 15 {
            0 | 1 => (4, false),
            2 => (5, false),
            3 | 5 => (payload, false),
            // Numbers and texts that are written otherwise than they are stored.
            4 | 6 | 9 | 10 => (payload.checked_mul(MOST_TEXT)?.checked_add(24)?, false),
            7 | 8 => (payload.checked_add(2)?, false),
            11 | 12 => (2, true),
            _ => return None,
        };
        // A comma or a colon.
        len = len.checked_add(written)?.checked_add(1)?;
        jsonb = if inside { rest } else { rest.get(payload..)? };
    }
    Some(len)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn no_document_is_longer_than_was_said_and_few_are_much_shorter() {
        let conn = Connection::open_in_memory().unwrap();
        let long = format!("[\"{}\",{}]", "x".repeat(70_000), vec!["false"; 300].join(","));
        let quoted = r#"{"a\n":["\u0001\"",1.5e10,-7,null,true,{}],"é":[[],[[]],"😀",""]}"#;
        for text in [long.as_str(), quoted, "1", "\"\"", "[]", "{}", "[1,22,333,false,\"a\"]"] {
            let (jsonb, written): (Vec<u8>, String) = conn
                .query_row("SELECT jsonb(?1), json(jsonb(?1))", [text], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap();
            let said = text_bytes(&jsonb).unwrap();
            assert!(said >= written.len() && said <= written.len() + 8, "{said} for {}", written.len());
            assert!(written.len() <= jsonb.len() * MOST_TEXT);
        }
        // Neither of these is stored by Covey; both are within the bound.
        let odd: (Vec<u8>, String) = conn
            .query_row("SELECT jsonb('{a:0x1F,b:\"\\x01\"}'), json('{a:0x1F,b:\"\\x01\"}')", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert!(text_bytes(&odd.0).unwrap() >= odd.1.len());
        assert_eq!(text_bytes(&[0xff]), None);
        assert_eq!(text_bytes(&[0x37, b'a']), None, "shorter than it says");
    }
}
