//! The patterns of `LIKE` and `GLOB`, as SQLite reads them, with a look at the clock while a text is gone through: that can
//! take as many steps as the product of both lengths.

/// Longest pattern, bytes.
pub(super) const MAX_PATTERN_BYTES: usize = 1000;

/// Steps between two looks at the clock: well under a millisecond.
const STEPS: usize = 1 << 16;

/// The time was over before it was known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Over;

#[derive(Debug)]
enum Part {
    /// Any characters, or none.
    Any,
    /// Any character.
    One,
    Char(char),
    /// A character within one of these, or within none of them.
    Set {
        ranges: Vec<(char, char)>,
        is_inverted: bool,
    },
}

/// A pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    /// Whether small and capital letters of ASCII are the same.
    folds: bool,
}

impl Pattern {
    /// `%`, `_`, and whatever stands behind the character that is to escape; `None` if nothing can match.
    pub(super) fn like(text: &str, escape: Option<char>) -> Option<Self> {
        let mut chars = text.chars();
        let mut parts = Vec::new();
        while let Some(c) = chars.next() {
            parts.push(match c {
                _ if Some(c) == escape => Part::Char(chars.next()?),
                '%' => Part::Any,
                '_' => Part::One,
                _ => Part::Char(c),
            });
        }
        Some(Self { parts, folds: true })
    }

    /// `*`, `?`, and sets like `[a-z]` and `[^,;]`; `None` if nothing can match.
    pub(super) fn glob(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut parts = Vec::new();
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            parts.push(match c {
                '*' => Part::Any,
                '?' => Part::One,
                '[' => {
                    let (set, behind) = set(rest)?;
                    rest = behind;
                    set
                }
                _ => Part::Char(c),
            });
        }
        Some(Self { parts, folds: false })
    }

    /// Whether a text matches. Where it doesn't go on, only the last part that takes anything has to take more.
    pub(super) fn matches(&self, text: &str, is_over: impl Fn() -> bool) -> Result<bool, Over> {
        let (mut part, mut at, mut steps) = (0, 0, 0);
        let mut back: Option<(usize, usize)> = None;
        loop {
            let next = text[at..].chars().next();
            steps += match self.parts.get(part) {
                Some(Part::Set { ranges, .. }) => 1 + ranges.len(),
                _ => 1,
            };
            if steps >= STEPS {
                steps = 0;
                if is_over() {
                    return Err(Over);
                }
            }
            match (self.parts.get(part), next) {
                (Some(Part::Any), _) => {
                    part += 1;
                    back = Some((part, at));
                    if part == self.parts.len() {
                        return Ok(true);
                    }
                }
                (Some(known), Some(c)) if self.takes(known, c) => {
                    part += 1;
                    at += c.len_utf8();
                }
                (None, None) => return Ok(true),
                // What is left of the text gets only shorter.
                (_, None) => return Ok(false),
                (_, Some(_)) => {
                    let Some((behind, from)) = back else { return Ok(false) };
                    let Some(c) = text[from..].chars().next() else { return Ok(false) };
                    (part, at) = (behind, from + c.len_utf8());
                    back = Some((part, at));
                }
            }
        }
    }

    fn takes(&self, part: &Part, c: char) -> bool {
        match part {
            Part::Any | Part::One => true,
            Part::Char(known) if self.folds => known.eq_ignore_ascii_case(&c),
            Part::Char(known) => *known == c,
            Part::Set { ranges, is_inverted } => {
                ranges.iter().any(|(from, upto)| (*from..=*upto).contains(&c)) != *is_inverted
            }
        }
    }
}

/// Reads a set from behind its bracket on; also what stands behind it. `None` if it has no end.
fn set(text: &str) -> Option<(Part, &str)> {
    let mut chars = text.chars();
    let mut c = chars.next()?;
    let is_inverted = c == '^';
    if is_inverted {
        c = chars.next()?;
    }
    let (mut ranges, mut before) = (Vec::new(), None);
    if c == ']' {
        ranges.push((c, c));
        c = chars.next()?;
    }
    while c != ']' {
        let is_last = chars.as_str().is_empty() || chars.as_str().starts_with(']');
        match before {
            Some(from) if c == '-' && !is_last => {
                ranges.push((from, chars.next()?));
                before = None;
            }
            _ => {
                ranges.push((c, c));
                before = Some(c);
            }
        }
        c = chars.next()?;
    }
    Some((Part::Set { ranges, is_inverted }, chars.as_str()))
}
