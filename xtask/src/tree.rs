//! The repository's files, as the checks see them: by relative path, without what is built or fetched.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

/// Folders that hold no source of ours, by name.
const SKIPPED: [&str; 3] = [".git", "node_modules", "target"];

/// Cargo and other tools mark their caches with this file.
const CACHE_MARK: &str = "CACHEDIR.TAG";

/// A snapshot of the repository: every file's path, and the text of those that are checked.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    paths: BTreeSet<String>,
    texts: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the tree under `root`. Symbolic links are not followed.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(root.join(&folder))? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                let kind = entry.file_type()?;
                if kind.is_dir()
                    && !SKIPPED.contains(&name.as_str())
                    && !entry.path().join(CACHE_MARK).exists()
                {
                    folders.push(path);
                } else if kind.is_file() {
                    let text = if is_checked(&path) { Some(fs::read_to_string(entry.path())?) } else { None };
                    tree.add(&path, text);
                }
            }
        }
        Ok(tree)
    }

    /// A tree of these files, for tests.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.add(path, Some((*text).to_owned()));
        }
        tree
    }

    fn add(&mut self, path: &str, text: Option<String>) {
        self.paths.insert(path.to_owned());
        if let Some(text) = text {
            self.texts.insert(path.to_owned(), text);
        }
    }

    /// Whether there is a file or a folder at this path; the root is the empty path.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let inside = format!("{path}/");
        path.is_empty()
            || self.paths.contains(path)
            || self.paths.range(inside.clone()..).next().is_some_and(|next| next.starts_with(&inside))
    }

    /// The text of one Markdown or Rust file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Path and text of all files with this ending (`".rs"`), in the order of their paths.
    pub(crate) fn files<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .filter(move |(path, _)| path.ends_with(ending))
    }
}

fn is_checked(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|ending| ending == "rs" || ending == "md")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_found_and_near_misses_are_not() {
        let tree = Tree::of(&[("docs/protocol/pair.md", ""), ("docs-old/x.md", "")]);
        for there in ["", "docs", "docs/protocol", "docs/protocol/pair.md"] {
            assert!(tree.holds(there), "{there}");
        }
        for missing in ["doc", "docs/pair.md", "docs/protocol/pair", "docs/protocol/pair.md/x"] {
            assert!(!tree.holds(missing), "{missing}");
        }
    }

    #[test]
    fn what_is_built_or_fetched_is_left_out() {
        let root = std::env::temp_dir().join(format!("covey-xtask-tree-{}", std::process::id()));
        for path in ["a/b.rs", "target/c.rs", "cache/CACHEDIR.TAG", "cache/d.rs", ".ci/run"] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "//! text").unwrap();
        }
        let tree = Tree::read(&root).unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(tree.paths.iter().map(String::as_str).collect::<Vec<_>>(), [".ci/run", "a/b.rs"]);
        assert_eq!(tree.text("a/b.rs"), Some("//! text"));
        assert_eq!(tree.text(".ci/run"), None);
    }
}
