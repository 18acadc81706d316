//! What may stand in a text, and highlighted places in it.
//!
//! Texts are plain: whatever looks like markup is shown as it stands. Line breaks and tabs stay; other control characters
//! are taken out, since nobody types them and terminals obey them. Marks of direction stay: right-to-left text needs them.

use crate::limits::MAX_TEXT_BYTES;

/// Stands before a found word in what the search gives back. It's a control character, so no text has it.
pub const FOUND: char = '\u{1}';

/// Stands behind it.
pub const FOUND_END: char = '\u{2}';

/// Why a text can't be a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// There is nothing in it.
    #[error("a message without text can't be sent")]
    Empty,
    /// It's too long.
    #[error("a message of {len} bytes is longer than the limit of {MAX_TEXT_BYTES}: send it as a file")]
    TooLong {
        /// Its length, bytes.
        len: usize,
    },
}

fn is_kept(c: char) -> bool {
    !c.is_control() || matches!(c, '\n' | '\t')
}

/// A text without what nobody can see.
pub fn clean(text: &str) -> String {
    text.chars().filter(|c| is_kept(*c)).collect()
}

/// The text of a message as it is sent.
///
/// # Errors
/// [`TextError`].
pub fn parse(text: &str) -> Result<String, TextError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(TextError::TooLong { len: text.len() });
    }
    let text = clean(text);
    let text = text.trim_end();
    if text.trim().is_empty() { Err(TextError::Empty) } else { Ok(text.to_owned()) }
}

/// A line such as a name or a topic: no line breaks, and no longer than so many characters.
pub fn line(text: &str, max_chars: usize) -> String {
    let line: String = text.chars().filter(|c| !c.is_control()).take(max_chars).collect();
    line.trim().to_owned()
}

/// Takes the marks around found words out of a text: the text, and from where to where the words stand, in UTF-16 code
/// units, which is what browsers count.
pub fn highlights(marked: &str) -> (String, Vec<(usize, usize)>) {
    let (mut text, mut places, mut at, mut from) = (String::with_capacity(marked.len()), Vec::new(), 0, None);
    for c in marked.chars() {
        match c {
            FOUND => from = Some(at),
            FOUND_END => places.extend(from.take().map(|from| (from, at))),
            c => {
                text.push(c);
                at += c.len_utf16();
            }
        }
    }
    (text, places)
}

/// What people type into a search, as a query of FTS5: each word must be there, the last one may go on. `None` if there is
/// no word in it.
pub fn query(words: &str) -> Option<String> {
    /// More than anybody types; each costs a look-up.
    const MAX_WORDS: usize = 16;
    /// Shorter beginnings fit too much.
    const MIN_PREFIX: usize = 2;
    let words: Vec<&str> =
        words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(MAX_WORDS).collect();
    let (last, rest) = words.split_last()?;
    let mut out: Vec<String> = rest.iter().map(|word| format!("\"{word}\"")).collect();
    let goes_on = if last.chars().count() >= MIN_PREFIX { "*" } else { "" };
    out.push(format!("\"{last}\"{goes_on}"));
    Some(out.join(" "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn emoji_and_right_to_left_text_pass_as_they_are_and_control_characters_do_not() {
        for text in ["👩‍👩‍👧‍👦 hi", "שלום \u{202e}abc\u{202c}", "line\nline\ttab", "<b>not bold</b>"]
        {
            assert_eq!(parse(text).unwrap(), text);
        }
        assert_eq!(parse("a\u{1b}[2Jb\u{1}\u{2}\0").unwrap(), "a[2Jb");
        assert_eq!(parse(" \n "), Err(TextError::Empty));
        assert_eq!(parse(""), Err(TextError::Empty));
        assert!(parse(&"x".repeat(MAX_TEXT_BYTES)).is_ok());
        assert!(matches!(parse(&"é".repeat(MAX_TEXT_BYTES)), Err(TextError::TooLong { .. })));
    }

    #[test]
    fn found_places_are_counted_as_browsers_do() {
        let (text, places) = highlights("😀 \u{1}bean\u{2} and \u{1}bed\u{2}");
        assert_eq!(text, "😀 bean and bed");
        assert_eq!(places, [(3, 7), (12, 15)]);
        assert_eq!(highlights("\u{2}x\u{1}"), ("x".into(), vec![]));
    }

    #[test]
    fn words_become_a_query_that_can_not_be_steered() {
        assert_eq!(query("bean bed").unwrap(), "\"bean\" \"bed\"*");
        assert_eq!(query("text:x OR \"y\" NEAR(z)*").unwrap(), "\"text\" \"x\" \"OR\" \"y\" \"NEAR\" \"z\"");
        assert_eq!(query(" \"'*-:() "), None);
    }

    proptest! {
        #[test]
        fn a_cleaned_text_is_clean(text in any::<String>()) {
            let once = clean(&text);
            prop_assert_eq!(clean(&once), once.clone());
            prop_assert!(!once.contains([FOUND, FOUND_END]));
        }
    }
}
