//! Links in Markdown files: relative ones must lead to a file of the repository, and their anchors to a
//! heading.
//!
//! Read are inline links, images, reference definitions, and `href` / `src` attributes; code is not.
//! Anchors follow what code hosts do with `#` headings: lower case, punctuation dropped, blanks become
//! dashes, repeats are numbered. Links with a scheme (`https:`, `mailto:`) are not followed: checks
//! need no network.

use std::collections::{BTreeMap, BTreeSet};

use crate::{tidy::Problem, tree::Tree};

/// What one Markdown file points to, and what in it can be pointed to.
#[derive(Debug, Default)]
struct Document {
    links: Vec<(usize, String)>,
    anchors: BTreeSet<String>,
}

/// Every relative link of the tree's documents that leads nowhere.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let documents: BTreeMap<&str, Document> =
        tree.files(".md").map(|(path, text)| (path, read(text))).collect();
    let mut problems = Vec::new();
    for (path, document) in &documents {
        for (line, link) in &document.links {
            if let Some(reason) = dead(tree, &documents, path, link) {
                problems.push(Problem::at(path, *line, format!("the link to {link} is dead: {reason}")));
            }
        }
    }
    problems
}

/// Why this link leads nowhere; `None` if it's good.
fn dead(tree: &Tree, documents: &BTreeMap<&str, Document>, from: &str, link: &str) -> Option<String> {
    if has_scheme(link) || link.starts_with("//") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let Some(target) = resolve(from, &percent_decoded(path)) else {
        return Some("it leaves the repository".to_owned());
    };
    if !tree.holds(&target) {
        return Some(format!("there is no {target}"));
    }
    let document = documents.get(target.as_str())?;
    let known = anchor.is_empty() || document.anchors.contains(&percent_decoded(anchor).to_lowercase());
    (!known).then(|| format!("{target} has no heading #{anchor}"))
}

fn has_scheme(link: &str) -> bool {
    link.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    })
}

/// The path from the repository's root that `link` means in the file `from`; `None` if it is outside.
fn resolve(from: &str, link: &str) -> Option<String> {
    if link.is_empty() {
        return Some(from.to_owned());
    }
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = if link.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.retain(|part| !part.is_empty());
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    parts.retain(|part| !part.is_empty());
    Some(parts.join("/"))
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn read(text: &str) -> Document {
    let mut document = Document::default();
    let mut repeats: BTreeMap<String, usize> = BTreeMap::new();
    let mut fence = None;
    for (index, line) in text.lines().enumerate() {
        let mark = fence_mark(line);
        match fence {
            Some(open) => {
                if mark == Some(open) {
                    fence = None;
                }
                continue;
            }
            None if mark.is_some() => {
                fence = mark;
                continue;
            }
            None => {}
        }
        if let Some(title) = heading(line) {
            let slug = slug(title);
            let count = repeats.entry(slug.clone()).or_default();
            document.anchors.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
            *count += 1;
        }
        let prose = without_code(line);
        document.anchors.extend(attributes(&prose, &["id", "name"]).map(str::to_lowercase));
        document.links.extend(links_in(&prose).into_iter().map(|link| (index + 1, link)));
    }
    document
}

/// The character of the fence that this line opens or closes.
fn fence_mark(line: &str) -> Option<char> {
    let line = line.trim_start();
    ['`', '~'].into_iter().find(|mark| line.starts_with(&mark.to_string().repeat(3)))
}

fn heading(line: &str) -> Option<&str> {
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    let is_heading = (1..=6).contains(&level) && title.starts_with([' ', '\t']);
    is_heading.then(|| title.trim().trim_end_matches('#').trim_end())
}

fn slug(title: &str) -> String {
    let mut out = String::new();
    let mut rest = title;
    while let Some(first) = rest.chars().next() {
        // Of a link in a heading only the text counts.
        if rest.starts_with("](") {
            rest = rest.split_once(')').map_or("", |(_, after)| after);
            continue;
        }
        match first {
            ' ' => out.push('-'),
            '-' | '_' => out.push(first),
            _ if first.is_alphanumeric() => out.extend(first.to_lowercase()),
            _ => {}
        }
        rest = &rest[first.len_utf8()..];
    }
    out
}

/// The line with its code spans blanked.
fn without_code(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        let ticks = rest[start..].bytes().take_while(|b| *b == b'`').count();
        let after = &rest[start + ticks..];
        out.push_str(&rest[..start]);
        if let Some(end) = closing(after, ticks) {
            out.push(' ');
            rest = &after[end + ticks..];
        } else {
            out.push_str(&rest[start..start + ticks]);
            rest = after;
        }
    }
    out + rest
}

/// Where the next run of exactly this many backticks is.
fn closing(text: &str, ticks: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..].find('`') {
        let start = at + found;
        let run = text[start..].bytes().take_while(|b| *b == b'`').count();
        if run == ticks {
            return Some(start);
        }
        at = start + run;
    }
    None
}

fn links_in(prose: &str) -> Vec<String> {
    let mut found: Vec<String> = attributes(prose, &["href", "src"]).map(str::to_owned).collect();
    let definition = prose.trim_start();
    if definition.starts_with('[')
        && !definition.starts_with("[^")
        && let Some((_, target)) = definition.split_once("]:")
        && !definition[..definition.len() - target.len()].contains("](")
    {
        found.extend(target.split_whitespace().next().map(unbracketed));
    }
    for (at, _) in prose.match_indices("](") {
        found.extend(destination(&prose[at + 2..]));
    }
    found
}

/// The destination of an inline link, from just behind its opening bracket.
fn destination(text: &str) -> Option<String> {
    let text = text.trim_start();
    if text.starts_with('<') {
        return text.find('>').map(|end| text[1..end].to_owned());
    }
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ')' | ' ' => return Some(text[..at].to_owned()),
            _ => {}
        }
    }
    None
}

fn unbracketed(target: &str) -> String {
    target.trim_start_matches('<').trim_end_matches('>').to_owned()
}

/// The values of these HTML attributes on one line.
fn attributes<'a>(prose: &'a str, names: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    names.iter().flat_map(move |name| {
        prose.match_indices(*name).filter_map(move |(at, _)| {
            let starts = prose[..at].ends_with([' ', '\t']);
            let value = prose[at + name.len()..].strip_prefix("=\"").filter(|_| starts)?;
            value.split_once('"').map(|(value, _)| value)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let text = "# One `two`, three!\n\
            [a](docs/b.md) [b](docs/b.md#a-heading) [c](#one-two-three) [d](docs) ![e](<docs/b.md> \"title\")\n\
            [f](https://x.y/z.md#q) [g](mailto:a@b) [h](/docs/b.md) [`i`](docs/b%2Emd) [j][k]\n\
            <a id=\"mark\" href=\"docs/b.md\">x</a> [l](#mark)\n\n[k]: docs/b.md#a-heading-1\n";
        let other = "# A heading\n## A heading\n[up](../README.md) [self](./b.md)\n";
        assert_eq!(found(&[("README.md", text), ("docs/b.md", other)]), [""; 0]);
    }

    #[test]
    fn each_kind_of_dead_link_is_named_with_its_line() {
        let text = "# T\n\n[a](nowhere.md)\n[b](#nothing)\n[c](../outside.md)\n[d]: gone.md\n<img src=\"x.png\">\n[e](b.md#no)\n";
        assert_eq!(
            found(&[("a.md", text), ("b.md", "# B\n")]),
            [
                "a.md:3: the link to nowhere.md is dead: there is no nowhere.md",
                "a.md:4: the link to #nothing is dead: a.md has no heading #nothing",
                "a.md:5: the link to ../outside.md is dead: it leaves the repository",
                "a.md:6: the link to gone.md is dead: there is no gone.md",
                "a.md:7: the link to x.png is dead: there is no x.png",
                "a.md:8: the link to b.md#no is dead: b.md has no heading #no",
            ]
        );
    }

    #[test]
    fn code_holds_no_links_and_no_headings() {
        let text =
            "`[a](x.md)` ``[b](`y.md)``\n```sh\n# not a heading\n[c](z.md)\n~~~\n```\n[d](#not-a-heading)\n";
        assert_eq!(found(&[("a.md", text)]).len(), 1);
        assert_eq!(found(&[("a.md", "a lone ` tick [a](x.md)")]).len(), 1);
    }

    #[test]
    fn headings_become_anchors_as_code_hosts_make_them() {
        for (title, anchor) in [
            ("What it is", "what-it-is"),
            ("`covey up`, and more", "covey-up-and-more"),
            ("A [link](x.md) here", "a-link-here"),
            ("snake_case - dash", "snake_case---dash"),
            ("Größe", "größe"),
        ] {
            assert_eq!(slug(title), anchor);
        }
    }

    #[test]
    fn brackets_and_titles_end_a_destination_where_they_should() {
        assert_eq!(destination("a_(b).md) rest"), Some("a_(b).md".into()));
        assert_eq!(destination("a.md \"title\")"), Some("a.md".into()));
        assert_eq!(destination("never closed"), Some("never".into()));
        assert_eq!(destination("open"), None);
    }
}
