//! What is seen of a statement before SQLite sees it.
//!
//! SQLite tells the guard of every column that is read but of those that a join has by one name (`USING`, `NATURAL`); and
//! what a statement makes of parts that name each other is copied before anybody is asked about it. Both are judged by the
//! words alone, wherever they stand, in texts and comments too: whoever reads SQL in any other way than SQLite does can be
//! deceived, and letters are letters to everybody.

use super::SqlError;

/// Most words `SELECT`: each makes work before a query runs, when nothing can end it.
const MAX_SELECTS: usize = 24;

/// Most bytes of statement that may come of one where `WITH` gives parts names: each is copied wherever it's named, in
/// what was copied too. Some fifty times that is taken in memory.
const MAX_COPIED_BYTES: usize = 16 << 20;

/// Whether a statement may go on to SQLite.
pub(super) fn check(sql: &str) -> Result<(), SqlError> {
    let (mut selects, mut has_with) = (0, false);
    // Copies of the parts up to here, and what may name one in the part since the last SELECT.
    let (mut copies, mut names) = (1_usize, 1_usize);
    let is_other = |c: char| !(c.is_ascii_alphabetic() || c == '_');
    for piece in sql.split_inclusive(is_other) {
        let word = piece.trim_end_matches(is_other);
        let is = |known: &str| word.eq_ignore_ascii_case(known);
        if is("using") || is("natural") {
            let why = "join by USING or NATURAL (say JOIN ... ON a.id = b.id; the words are refused in texts and names too)";
            return Err(SqlError::Forbidden(why.into()));
        }
        if is("select") {
            selects += 1;
            copies = copies.saturating_mul(names);
            names = 1;
        }
        has_with |= is("with");
        names += usize::from(is("from") || is("join") || is("in"));
        names += usize::from(piece.ends_with(','));
    }
    if selects > MAX_SELECTS {
        return Err(SqlError::TooLarge { what: "a number of SELECTs", found: selects, max: MAX_SELECTS });
    }
    let (copies, max) = (copies.saturating_mul(names), MAX_COPIED_BYTES / sql.len().max(1));
    if has_with && copies > max {
        return Err(SqlError::TooLarge { what: "a number of copies of what WITH names", found: copies, max });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_refused_however_it_is_written_and_whatever_stands_around_it() {
        for sql in [
            "USING",
            "a using(b)",
            "1UsInG2",
            "x'natural'",
            "/*NATURAL*/",
            "\u{feff}using\u{feff}",
            "é.using,",
        ] {
            assert!(matches!(check(sql), Err(SqlError::Forbidden(_))), "{sql}");
        }
        for sql in ["misusing", "using_", "_natural", "us ing", "SELECT 'causing' FROM naturals"] {
            assert!(check(sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn what_may_be_copied_is_never_less_than_what_is() {
        let joined = |refs: usize| {
            format!("WITH a AS (SELECT 1), b AS (SELECT 1 FROM {}), ", vec!["a"; refs].join(","))
        };
        let sql =
            format!("{} c AS (SELECT 1 FROM {}) SELECT 1 FROM c", joined(500), vec!["b"; 500].join(" JOIN "));
        assert!(matches!(check(&sql), Err(SqlError::TooLarge { .. })));
        assert!(check(&format!("{} c AS (SELECT 1) SELECT 1 FROM c", joined(500))).is_ok());
        let pipeline = "WITH few AS (SELECT id, doc->>'bed' AS bed, doc->>'n' AS n FROM plants WHERE n > 2),
            beds AS (SELECT bed, count(*) AS many, sum(n) AS all_of_it FROM few GROUP BY bed),
            best AS (SELECT bed, many FROM beds ORDER BY many DESC LIMIT 3)
            SELECT best.bed, few.id, few.n FROM best JOIN few ON few.bed = best.bed ORDER BY 1, 2";
        assert!(check(pipeline).is_ok());
    }
}
